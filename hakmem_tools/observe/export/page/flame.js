// Draws the tree, and listens: click or Enter zooms, Esc goes back, "/" searches.
const ROW = 20, LEAST_PIXELS = 1.5;
const data = JSON.parse(document.getElementById("data").textContent);
const element = id => document.getElementById(id);
const graph = element("graph"), tip = element("tip");
let root, zoomed, wanted = null;

function bytesText(count) {
  let value = count, unit = 0;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  while (Math.abs(value) >= 1024 && unit < units.length - 1) { value /= 1024; unit++; }
  return (unit ? value.toFixed(1) : Math.round(value)) + " " + units[unit];
}

function withError(sum) {
  const [low, high] = interval(sum);
  return `${bytesText(sum.bytes)} (95 %: ${bytesText(low)} to ${bytesText(high)})`;
}

function colour(frame) { // a quiet hue for each module
  if (!frame) return "hsl(210 12% 78%)";
  let hash = 7;
  for (const character of frame[2] || frame[0]) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  let shade = 0;
  for (const character of frame[0]) shade = (shade * 17 + character.codePointAt(0)) % 13;
  return `hsl(${20 + hash % 300} 48% ${66 + shade}%)`;
}

function matches(node) {
  return wanted !== null && node.frame !== null
    && wanted(`${node.frame[0]}\n${node.frame[1]}\n${node.frame[2]}`);
}

function matcher(text) {
  if (!text) return null;
  const low = text.toLowerCase();
  return name => name.toLowerCase().includes(low);
}

function matchedBytes(node) { // a stack counts once, however many of its frames match
  if (matches(node)) return node.sum.bytes;
  let sum = 0;
  for (const child of node.children.values()) sum += matchedBytes(child);
  return sum;
}

function currentView() {
  return data.views.find(view => view.name === element("view").value);
}

function rebuild() {
  root = zoomed = buildTree(data, currentView(), {
    inverted: element("order").value === "callees",
    lines: element("lines").checked,
    allocator: element("allocator").checked,
  });
  draw();
}

function block(node, left, width, level, above) {
  const box = document.createElement("div");
  box.className = "frame" + (above ? " above" : "") + (matches(node) ? " match" : "")
    + (node.frame && node.frame[3] ? " inlined" : "");
  box.style.left = left + "px";
  box.style.width = Math.max(1, width - 1) + "px";
  box.style.background = colour(node.frame);
  box.dataset.level = level;
  box.dataset.bytes = node.sum.bytes;
  box.dataset.name = node.frame ? node.frame[0] : "all";
  box.tabIndex = 0;
  box.setAttribute("role", "treeitem");
  if (width > 24) box.textContent = box.dataset.name;
  box.setAttribute("aria-label", `${box.dataset.name}, ${bytesText(node.sum.bytes)}`);
  box.addEventListener("click", () => zoom(node));
  box.addEventListener("keydown", event => { if (event.key === "Enter") zoom(node); });
  box.addEventListener("mousemove", event => showTip(node, event.clientX, event.clientY));
  box.addEventListener("mouseleave", () => { tip.hidden = true; });
  return box;
}

function draw() {
  const width = graph.clientWidth, made = [];
  const path = [];
  for (let node = zoomed.parent; node; node = node.parent) path.unshift(node);
  path.forEach((node, level) => made.push(block(node, 0, width, level, true)));
  let deepest = path.length;
  const scale = zoomed.sum.bytes > 0 ? width / zoomed.sum.bytes : 0;
  const open = [[zoomed, 0]];
  while (open.length) {
    const [node, left] = open.pop();
    const level = node.depth;
    deepest = Math.max(deepest, level);
    made.push(block(node, left, node.sum.bytes * scale, level, false));
    let at = left;
    const wide = [];
    for (const child of ranked(node)) {
      if (child.sum.bytes * scale < LEAST_PIXELS) break; // ranked: the rest is narrower still
      wide.push([child, at]);
      at += child.sum.bytes * scale;
    }
    open.push(...wide.reverse()); // so that Tab walks from the largest on
  }
  graph.style.height = (deepest + 1) * ROW + "px";
  const downwards = element("icicle").checked;
  for (const box of made) {
    box.style[downwards ? "top" : "bottom"] = box.dataset.level * ROW + "px";
  }
  graph.replaceChildren(...made);
  graph.classList.toggle("searching", wanted !== null);
  element("reset").hidden = zoomed === root;
  tell();
}

function tell() {
  const view = currentView(), cut = view.truncated;
  element("total").textContent = `${view.label}: ${withError(root.sum)}, from ${root.sum.samples}`
    + ` samples; truncated stacks: ${cut === null ? "unknown" : (100 * cut).toFixed(1) + " %"}`;
  const found = wanted === null ? 0 : matchedBytes(zoomed);
  const share = zoomed.sum.bytes > 0 ? 100 * found / zoomed.sum.bytes : 0;
  element("matched").textContent = wanted === null ? ""
    : `matched ${share.toFixed(1)} % (${bytesText(found)})`;
}

function zoom(node) {
  tip.hidden = true;
  zoomed = node;
  draw();
}

function line(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function showTip(node, x, y) {
  const { frame, sum } = node, lines = [line("b", frame ? frame[0] : "all")];
  if (frame && frame[1]) lines.push(line("span", frame[1] + (frame[3] ? " (inlined)" : "")));
  if (frame && frame[2]) lines.push(line("span", frame[2]));
  lines.push(line("span", `${withError(sum)}, ${sum.samples} samples`));
  lines.push(line("span", `${(100 * sum.bytes / (root.sum.bytes || 1)).toFixed(1)} % of all; `
    + `${bytesText(node.own)} right here`));
  tip.replaceChildren(...lines);
  tip.hidden = false;
  tip.style.left = Math.max(0, Math.min(x + 14, innerWidth - tip.offsetWidth - 8)) + "px";
  const below = y + 18 + tip.offsetHeight < innerHeight;
  tip.style.top = Math.max(0, below ? y + 18 : y - tip.offsetHeight - 10) + "px";
}

function search() {
  wanted = matcher(element("search").value);
  draw();
}

function start() {
  document.title = `${data.title} - hakmem profile`;
  element("title").textContent = data.title;
  for (const view of data.views) {
    const option = line("option", view.label);
    option.value = view.name;
    element("view").append(option);
  }
  element("view").value = data.view;
  element("about").replaceChildren(...data.about.map(sentence => line("p", sentence)));
  for (const id of ["view", "order", "lines", "allocator"]) {
    element(id).addEventListener("change", rebuild);
  }
  element("icicle").addEventListener("change", draw);
  element("search").addEventListener("input", search);
  element("reset").addEventListener("click", () => zoom(root));
  addEventListener("resize", draw);
  addEventListener("keydown", event => {
    if (event.key === "Escape") {
      element("search").value = "";
      wanted = null;
      zoom(root);
    } else if (event.key === "/" && document.activeElement !== element("search")) {
      event.preventDefault();
      element("search").focus();
    }
  });
  rebuild();
}
start();
