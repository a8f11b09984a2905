// Draws the states of every network at the layer of the slider; between two layers the points move in a straight line.
(() => {
  const { films, colors } = JSON.parse(document.getElementById("films").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const slider = document.getElementById("layer"), shown = document.getElementById("shown");
  const play = document.getElementById("play"), canvases = document.querySelectorAll(".films canvas");
  for (const film of films) {
    film.points = bytes(film.points); // layers x nodes x 2, 0..255
    film.y = bytes(film.y);
  }
  const draw = () => {
    const at = Number(slider.value);
    shown.textContent = `layer ${Math.round(at)}`;
    films.forEach((film, k) => {
      const canvas = canvases[k], pen = canvas.getContext("2d"), nodes = film.y.length;
      const low = Math.min(Math.floor(at), film.layers - 1), high = Math.min(low + 1, film.layers - 1);
      const share = Math.min(at, film.layers - 1) - low, scale = canvas.width / 255;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      pen.globalAlpha = 0.6;
      for (let node = 0; node < nodes; node++) {
        const a = 2 * (low * nodes + node), b = 2 * (high * nodes + node);
        const x = film.points[a] + share * (film.points[b] - film.points[a]);
        const y = film.points[a + 1] + share * (film.points[b + 1] - film.points[a + 1]);
        pen.fillStyle = colors[film.y[node] % colors.length];
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
