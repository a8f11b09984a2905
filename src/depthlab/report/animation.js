// Draws the states of every network at the layer of the slider; between two layers the points move in a straight line.
(() => {
  const { animations, colors } = JSON.parse(document.getElementById("animations").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const slider = document.getElementById("layer"), shown = document.getElementById("shown");
  const play = document.getElementById("play"), canvases = document.querySelectorAll(".animations canvas");
  for (const animation of animations) {
    animation.points = bytes(animation.points); // frames x nodes x 2, 0..255
    animation.y = bytes(animation.y);
    animation.nodes = animation.y.length;
  }
  const draw = () => {
    const at = Number(slider.value);
    shown.textContent = `layer ${Math.round(at)}`;
    animations.forEach((animation, k) => {
      const canvas = canvases[k], pen = canvas.getContext("2d"), { nodes, layers } = animation;
      const next = layers.findIndex((layer) => layer > at), high = next < 0 ? layers.length - 1 : next;
      const low = next < 0 ? high : high - 1;
      const share = low === high ? 0 : (at - layers[low]) / (layers[high] - layers[low]);
      const radius = nodes > 600 ? 4.5 : 7, scale = (canvas.width - 2 * radius - 4) / 255, edge = radius + 2;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      pen.globalAlpha = 0.75;
      for (let node = 0; node < nodes; node++) {
        const a = 2 * (low * nodes + node), b = 2 * (high * nodes + node);
        const x = animation.points[a] + share * (animation.points[b] - animation.points[a]);
        const y = animation.points[a + 1] + share * (animation.points[b + 1] - animation.points[a + 1]);
        pen.fillStyle = colors[animation.y[node] % colors.length];
        pen.beginPath();
        pen.arc(edge + x * scale, canvas.height - edge - y * scale, radius, 0, 2 * Math.PI);
        pen.fill();
      }
    });
  };
  let timer = 0;
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "play"; };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) >= Number(slider.max)) slider.value = 0;
    play.textContent = "stop";
    const step = Math.max(0.1, Number(slider.max) / 160);
    timer = setInterval(() => {
      slider.value = Number(slider.value) + step;
      draw();
      if (Number(slider.value) >= Number(slider.max)) stop();
    }, 40);
  });
  slider.addEventListener("input", () => { stop(); draw(); });
  draw();
})();
