// Merges stacks into a tree. A node sums up its stacks; children are found by name (and line).
function emptySum() {
  return { samples: 0, seen: 0, bytes: 0, variance: 0, heaviest: 0 };
}

function addTo(sum, [, samples, seen, bytes, variance, heaviest]) {
  sum.samples += samples;
  sum.seen += seen;
  sum.bytes += bytes;
  sum.variance += variance;
  sum.heaviest = Math.max(sum.heaviest, heaviest);
}

function makeNode(frame, depth, parent) {
  return { frame, depth, parent, sum: emptySum(), own: 0, children: new Map() };
}

function buildTree(data, view, options) {
  const root = makeNode(null, 0, null);
  for (const amount of view.amounts) {
    let frames = data.stacks[amount[0]];
    if (!options.allocator) {
      let end = frames.length;
      while (end > 1 && data.frames[frames[end - 1]][4]) end--;
      frames = frames.slice(0, end);
    }
    if (options.inverted) frames = frames.slice().reverse();
    let node = root;
    addTo(node.sum, amount);
    for (const index of frames) {
      const frame = data.frames[index];
      const key = frame[0] + "\n" + (options.lines ? frame[1] : "") + "\n" + frame[2];
      let child = node.children.get(key);
      if (!child) node.children.set(key, child = makeNode(frame, node.depth + 1, node));
      addTo(child.sum, amount);
      node = child;
    }
    node.own += amount[3];
  }
  return root;
}

function ranked(node) {
  return [...node.children.values()].sort((a, b) => b.sum.bytes - a.sum.bytes);
}

function contains(ancestor, node) {
  for (let at = node; at; at = at.parent) if (at === ancestor) return true;
  return false;
}
