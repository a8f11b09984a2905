// Moves the sliders of the page, and draws the states of the networks at the layer of their slider.
(() => {
  const find = (id) => document.getElementById(id), data = JSON.parse(find("data").textContent);

  // A frame sets attributes of elements, and says in a sentence what is seen.
  for (const [key, frames] of Object.entries(data.sliders)) {
    const slider = find(key);
    slider.addEventListener("input", () => {
      const frame = frames[Number(slider.value)];
      for (const [id, name, value] of frame.set) find(id).setAttribute(name, value);
      slider.setAttribute("aria-valuetext", frame.value);
      find(`${key}-value`).textContent = frame.value;
      find(`${key}-says`).textContent = frame.says;
    });
    slider.dispatchEvent(new Event("input")); // a browser may restore an earlier position
  }

  const slider = find("layer"), play = find("play");
  if (!slider) return;
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const networks = data.animations.map((network, number) => ({
    ...network, points: bytes(network.points), y: bytes(network.y), canvas: find(`states${number}`), says: find(`states${number}-says`),
  }));
  const alone = new Set(); // classes that are shown; none: all of them

  // Between two layers the points move in a straight line. points: frames x nodes x 2, 0..255.
  const draw = () => {
    const at = Number(slider.value);
    for (const { canvas, says, points, y, frames, ranks, name } of networks) {
      const pen = canvas.getContext("2d"), nodes = y.length, last = frames - 1;
      const low = Math.min(Math.floor(at), last), high = Math.min(low + 1, last), share = Math.min(at, last) - low;
      const radius = 5, scale = (canvas.width - 4 * radius) / 255, edge = 2 * radius;
      pen.clearRect(0, 0, canvas.width, canvas.height);
      for (let node = 0; node < nodes; node++) {
        const a = 2 * (low * nodes + node), b = 2 * (high * nodes + node), shown = !alone.size || alone.has(y[node]);
        const x = points[a] + share * (points[b] - points[a]), z = points[a + 1] + share * (points[b + 1] - points[a + 1]);
        pen.globalAlpha = shown ? 0.75 : 0.06;
        pen.fillStyle = data.colors[y[node] % data.colors.length];
        pen.beginPath();
        pen.arc(edge + x * scale, canvas.height - edge - z * scale, radius, 0, 2 * Math.PI);
        pen.fill();
      }
      const layer = Math.min(Math.round(at), last), rank = ranks[layer];
      const where = `layer ${layer} of ${last}${rank ? `, effective rank ${rank}` : ""}`;
      if (says.textContent !== where) {
        says.textContent = where;
        canvas.setAttribute("aria-label", `states of ${name}, ${where}`);
      }
    }
    const text = `layer ${Math.round(at)}`;
    find("layer-value").textContent = text;
    slider.setAttribute("aria-valuetext", text);
  };

  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "play";
    play.setAttribute("aria-pressed", "false");
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) >= Number(slider.max)) slider.value = 0;
    play.textContent = "stop";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 0.1;
      draw();
      if (Number(slider.value) >= Number(slider.max)) stop();
    }, 40);
  });
  slider.addEventListener("input", () => { stop(); draw(); });
  for (const button of document.querySelectorAll(".class")) {
    button.addEventListener("click", () => {
      const number = Number(button.dataset.class), pressed = !alone.has(number);
      pressed ? alone.add(number) : alone.delete(number);
      button.setAttribute("aria-pressed", String(pressed));
      draw();
    });
  }
  draw();
})();
