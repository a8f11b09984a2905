// Uses the page as a person does, and sends what happened to the parent window.
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message || event.target)), true);
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
for (const name of ["error", "warn"]) {
  const usual = console[name];
  console[name] = (...words) => { errors.push(words.join(" ")); usual(...words); };
}
addEventListener("load", async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const find = (id) => document.getElementById(id), found = { errors, sliders: {}, states: {} };
  const slide = (id, value) => { find(id).value = value; find(id).dispatchEvent(new Event("input")); };
  const pictures = () => [...document.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL());
  const drawn = (key) => find(key).closest("section").querySelector(".row").innerHTML;
  try {
    await wait(200);
    found.width = innerWidth;
    for (const table of document.querySelectorAll("details")) table.open = true;
    found.overflow = document.documentElement.scrollWidth;
    found.cut = [...document.querySelectorAll("h1, h2, h3, p, li, dt, dd, button, label, output, figcaption, canvas, svg, svg text, input, summary, .main th, .main td")]
      .filter((element) => !element.closest(".sample"))
      .map((element) => [element.textContent.trim().slice(0, 40), element.getBoundingClientRect()])
      .filter(([, box]) => box.width && (box.left < -0.5 || box.right > innerWidth + 0.5))
      .map(([text, box]) => `${text}: ${box.left} to ${box.right}`);
    for (const key of ["alpha", "repulsion", "layers"]) {
      const before = drawn(key), at = find(key).value, said = find(`${key}-says`).textContent, spoken = find(key).getAttribute("aria-valuetext");
      slide(key, find(key).max);
      found.sliders[key] = {
        moved: drawn(key) !== before, said: find(`${key}-says`).textContent !== said,
        spoken: find(key).getAttribute("aria-valuetext") !== spoken && find(key).getAttribute("aria-valuetext") === find(`${key}-value`).textContent,
      };
      slide(key, at);
      found.sliders[key].back = drawn(key) === before;
    }
    const states = found.states, first = pictures();
    states.blank = [...document.querySelectorAll("canvas")].map((canvas) =>
      canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.every((byte) => byte === 0));
    slide("layer", 0);
    states.zero = find("layer-value").textContent;
    states.changed = pictures().map((picture, k) => picture !== first[k]);
    slide("layer", 32);
    states.text = find("layer-value").textContent;
    states.says = find("states0-says").textContent;
    states.same = pictures().map((picture, k) => picture === first[k]);
    const one = document.querySelector(".class");
    one.click();
    states.alone = pictures().map((picture, k) => picture !== first[k] && one.getAttribute("aria-pressed") === "true");
    one.click();
    states.together = pictures().map((picture, k) => picture === first[k]);
    find("play").click();
    states.playing = find("play").textContent;
    await wait(450);
    states.after = Number(find("layer").value);
    find("play").click();
    const at = find("layer").value;
    await wait(450);
    states.rests = find("layer").value === at;
    slide("layer", 31.5);
    find("play").click();
    await wait(1500);
    states.end = [Number(find("layer").value), find("play").textContent];
    found.focusable = [...document.querySelectorAll("a[href], button, input, summary")].filter((element) => {
      element.focus({ preventScroll: true });
      return document.activeElement === element;
    }).length;
    found.resources = performance.getEntriesByType("resource").map((entry) => entry.name);
  } catch (error) {
    errors.push(String(error.stack || error));
  }
  parent.postMessage(JSON.stringify(found), "*");
});
