// Draws the states of every network at the layer of the slider; between two layers the points move in a straight line.
(() => {
  const { animations, colors } = JSON.parse(document.getElementById("animations").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const slider = document.getElementById("layer"), shown = document.getElementById("shown");
  const play = document.getElementById("play"), canvases = document.querySelectorAll(".animations canvas");
  for (const animation of animations) {
    animation.points = bytes(animation.points); // layers x nodes x 2, 0..255
    animation.y = bytes(animation.y);
  }
  const draw = () => {
    const at = Number(slider.value);
    shown.textContent = `layer ${Math.round(at)}`;
    animations.forEach((animation, k) => {
      const canvas = canvases[k], pen = canvas.getContext("2d"), nodes = animation.y.length;
      const low = Math.min(Math.floor(at), animation.layers - 1), high = Math.min(low + 1, animation.layers - 1);
      const share = Math.min(at, animation.layers - 1) - low, scale = canvas.width / 255;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      pen.globalAlpha = 0.6;
      for (let node = 0; node < nodes; node++) {
        const a = 2 * (low * nodes + node), b = 2 * (high * nodes + node);
        const x = animation.points[a] + share * (animation.points[b] - animation.points[a]);
        const y = animation.points[a + 1] + share * (animation.points[b + 1] - animation.points[a + 1]);
        pen.fillStyle = colors[animation.y[node] % colors.length];
        pen.fillRect(x * scale - 2, canvas.height - y * scale - 2, 4, 4);
      }
    });
  };
  let timer = 0;
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "play"; };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) >= Number(slider.max)) slider.value = 0;
    play.textContent = "stop";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 0.1;
      draw();
      if (Number(slider.value) >= Number(slider.max)) stop();
    }, 40);
  });
  slider.addEventListener("input", () => { stop(); draw(); });
  draw();
})();
