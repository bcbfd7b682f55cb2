// Intervals of sums of weights, as model/profile_estimate.py takes them: gamma limits for a
// weighted sum of few counts (Fay and Feuer 1997), the lower one given at least one sample.
function logGamma(x) { // Stirling's series after eight steps up
  let shift = 0;
  while (x < 8) { shift -= Math.log(x); x += 1; }
  const square = 1 / (x * x);
  return shift + (x - 0.5) * Math.log(x) - x + 0.9189385332046727
    + (1 / 12 - square * (1 / 360 - square / 1260)) / x;
}

function gammaP(shape, x) {
  if (x <= 0) return 0;
  let term = Math.exp(-x + shape * Math.log(x) - logGamma(shape + 1)), sum = term;
  for (let n = shape + 1; term > sum * 1e-14 && n < shape + 2000; n++) {
    term *= x / n;
    sum += term;
  }
  return Math.min(1, sum);
}

function bisect(rising, wanted, low, high) {
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (rising(middle) < wanted) low = middle; else high = middle;
  }
  return (low + high) / 2;
}

function gammaQuantile(shape, chance) { // chance: 0.025 or 0.975
  if (shape > 30) {
    const z = chance > 0.5 ? 1.959963984540054 : -1.959963984540054;
    return shape * (1 - 1 / (9 * shape) + z / (3 * Math.sqrt(shape))) ** 3;
  }
  return bisect(x => gammaP(shape, x), chance, 0, shape + 12 * Math.sqrt(shape) + 40);
}

function lowerShape(shape) {
  if (shape > 30) return gammaQuantile(shape, 0.025);
  if (shape <= 1) return 0;
  return bisect(mean => gammaP(shape, mean) / -Math.expm1(-mean), 0.025, 1e-12, shape + 1);
}

function interval(sum) {
  const { samples, seen, bytes, variance, heaviest } = sum;
  if (!samples || bytes <= 0) return [0, 0];
  if (variance <= 0) return [Math.min(bytes, seen), bytes];
  const scale = variance / bytes;
  const up = (variance + heaviest * heaviest) / (bytes + heaviest);
  const high = up * gammaQuantile((bytes + heaviest) / up, 0.975);
  const low = Math.min(Math.max(scale * lowerShape(bytes / scale), seen), bytes);
  return [low, Math.max(high, bytes)];
}
