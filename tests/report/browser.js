// Uses the page as a person does, and sends what happened to the parent window.
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message || event.target)), true);
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
addEventListener("load", async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const find = (id) => document.getElementById(id), found = { errors };
  const pictures = () => [...document.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL());
  const slide = (value) => { find("layer").value = value; find("layer").dispatchEvent(new Event("input")); };
  try {
    await wait(500);
    found.width = [document.documentElement.scrollWidth, document.documentElement.clientWidth];
    found.charts = [...document.querySelectorAll(".chart")].map((chart) => chart.querySelectorAll(".curve").length);
    found.names = [...document.querySelectorAll(".chart")].map((chart) => [...chart.querySelectorAll("text.name, .names li")].map((name) => (name.firstChild.data ?? name.textContent)));
    found.outside = [...document.querySelectorAll(".chart svg[role=img] text")].filter((text) => {
      const own = text.getBoundingClientRect(), all = text.ownerSVGElement.getBoundingClientRect();
      return own.left < all.left - 1 || own.right > all.right + 1 || own.top < all.top - 1 || own.bottom > all.bottom + 1;
    }).map((text) => text.textContent);
    found.blank = [...document.querySelectorAll("canvas")].map((canvas) =>
      canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.every((byte) => byte === 0));
    const first = pictures();
    found.first = find("shown").textContent;
    slide(4);
    found.second = find("shown").textContent;
    found.changed = pictures().map((picture, k) => picture !== first[k]);
    slide(0);
    found.same = pictures().map((picture, k) => picture === first[k]);
    find("play").click();
    found.playing = find("play").textContent;
    await wait(450);
    found.after = Number(find("layer").value);
    find("play").click();
    found.stopped = find("play").textContent;
    const at = find("layer").value;
    await wait(450);
    found.rests = find("layer").value === at;
    find("play").click();
    await wait(4000);
    found.end = [Number(find("layer").value), find("shown").textContent, find("play").textContent];
    find("play").click();
    await wait(100);
    found.again = Number(find("layer").value);
    found.menus = [];
    for (const chart of document.querySelectorAll(".chart")) {
      const [measure, depth] = chart.querySelectorAll("select"), menu = [];
      for (const option of measure.options) {
        measure.value = option.value;
        measure.dispatchEvent(new Event("change"));
        const depths = depth ? [...depth.options].map((one) => one.value) : [""];
        for (const one of depths) {
          if (depth) { depth.value = one; depth.dispatchEvent(new Event("change")); }
          const rows = [...chart.querySelectorAll("details tr")].map((row) => [...row.children].map((cell) => cell.textContent));
          menu.push([option.value, one, rows]);
        }
      }
      found.menus.push(menu);
      measure.value = measure.options[0].value;
      measure.dispatchEvent(new Event("change"));
    }
    const chart = document.querySelector(".chart"), svg = chart.querySelector("svg[role=img]"), tip = chart.querySelector(".tip");
    const frame = svg.getBoundingClientRect();
    svg.dispatchEvent(new PointerEvent("pointermove", { clientX: frame.left + 60, clientY: frame.top + 50 }));
    found.tip = [tip.hidden, tip.textContent];
    svg.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    found.next = tip.textContent;
    const saved = [], click = HTMLAnchorElement.prototype.click;
    HTMLAnchorElement.prototype.click = function () { saved.push(this.download); };
    chart.querySelectorAll("button").forEach((button) => button.click());
    HTMLAnchorElement.prototype.click = click;
    found.saved = saved;
    document.querySelector(".cell").click();
    const box = document.querySelector(".evidence");
    found.evidence = [box.hidden, box.textContent, [...box.querySelectorAll("a")].map((link) => link.href)];
    found.resources = performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !name.startsWith("blob:"));
  } catch (error) {
    errors.push(String(error));
  }
  parent.postMessage(JSON.stringify(found), "*");
});
