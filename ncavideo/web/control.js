"use strict";
// From a picture to the inputs, as ncavideo/control/ does it: luminance, stretched to the clip's
// range, is split at thresholds that follow it; the first rule takes the brightest parts.

// The renderer's own numbers: the exporter writes them before these scripts.
const {
  BINS, CONTRAST, CUT, DARKEST_LIGHT, EXTREMES, FLAT, LEAST_SHARE, LEAST_SPAN, LEAST_STRENGTH,
  LUMINANCE, MOST_SHIFT, ROUNDS, SMOOTHING,
} = CONTROL;

class VideoControl {
  constructor(rules) {
    this.rules = rules;
    this.thresholds = null;
    this.histogram = null;
    this.range = null;
    this.time = 0;
  }

  // `rgba`: bytes of h * w pixels; `time` in seconds. Fills `weights`, an array [h, w] for each
  // rule from the brightest to the darkest, and `light` [h, w].
  read(rgba, time, weights, light) {
    const cells = light.length;
    const histogram = new Float64Array(BINS);
    for (let i = 0; i < cells; i++) {
      const luma = (LUMINANCE[0] * rgba[4 * i] + LUMINANCE[1] * rgba[4 * i + 1] + LUMINANCE[2] * rgba[4 * i + 2]) / 255;
      light[i] = luma;
      histogram[Math.min(BINS - 1, Math.floor(luma * BINS))] += 1 / cells;
    }
    this.widen(histogram);
    const [low, high] = this.range;
    const span = Math.max(LEAST_SPAN, high - low);
    const stretched = new Float64Array(BINS);
    for (let i = 0; i < cells; i++) {
      light[i] = Math.min(1, Math.max(0, (light[i] - low) / span));
      stretched[Math.min(BINS - 1, Math.floor(light[i] * BINS))] += 1 / cells;
    }
    const thresholds = this.follow(stretched, time);
    const count = this.rules;
    const slope = CONTRAST * Math.max(1, count - 1);
    for (let i = 0; i < cells; i++) {
      let above = 1;
      for (let band = 0; band < count; band++) {
        const last = count > 1 && band === count - 1;
        const next = last ? 0 : Math.min(1, Math.max(0, 0.5 + slope * (light[i] - thresholds[band])));
        // Bands ascend from dark to bright, rules descend. A single rule takes what is bright.
        if (count === 1) weights[0][i] = next;
        else weights[count - 1 - band][i] = above - next;
        above = next;
      }
      light[i] = DARKEST_LIGHT + (1 - DARKEST_LIGHT) * light[i];
    }
  }

  // The whole clip is not known, only what has been seen of it.
  widen(histogram) {
    const at = (share) => {
      let sum = 0;
      for (let i = 0; i < BINS; i++) {
        sum += histogram[i];
        if (sum >= share) return (i + 0.5) / BINS;
      }
      return 1;
    };
    const [low, high] = EXTREMES.map(at);
    this.range = this.range ? [Math.min(low, this.range[0]), Math.max(high, this.range[1])] : [low, high];
  }

  follow(histogram, time) {
    const target = this.split(histogram);
    let moved = 1;
    if (this.histogram) {
      let differs = 0;
      for (let i = 0; i < BINS; i++) differs += Math.abs(histogram[i] - this.histogram[i]) / 2;
      if (differs <= CUT) moved = 1 - Math.exp(-Math.max(0, time - this.time) / SMOOTHING);
    }
    this.thresholds = this.thresholds && moved < 1
      ? this.thresholds.map((value, i) => value + moved * (target[i] - value))
      : target;
    this.histogram = histogram;
    this.time = time;
    return this.thresholds;
  }

  // One-dimensional k-means on the histogram, as `Thresholds` in ncavideo/control/levels.py.
  split(histogram) {
    const bands = Math.max(2, this.rules);
    const values = Array.from(histogram, (_, i) => (i + 0.5) / BINS);
    let sum = 0;
    const cumulative = Array.from(histogram, (share) => (sum += share));
    const even = Array.from({ length: bands - 1 }, (_, i) => (i + 1) / bands);
    const atShare = (share) => interpolate(share, cumulative, values);
    let thresholds = even.map(atShare);
    for (let turn = 0; turn < ROUNDS; turn++) {
      const weight = new Float64Array(bands);
      const total = new Float64Array(bands);
      values.forEach((value, i) => {
        const band = thresholds.filter((t) => t < value).length;
        weight[band] += histogram[i];
        total[band] += histogram[i] * value;
      });
      if (weight.some((w) => w <= 0)) break;
      const centres = Array.from(total, (t, i) => t / weight[i]);
      thresholds = centres.slice(1).map((centre, i) => (centre + centres[i]) / 2);
    }
    // No band may starve, and none cuts into a group of values to feed itself.
    thresholds = thresholds.map((threshold, i) => {
      const low = atShare(even[i] - LEAST_SHARE / 2 / bands);
      const high = atShare(even[i] + LEAST_SHARE / 2 / bands);
      return threshold + clamp(clamp(threshold, low, high) - threshold, -MOST_SHIFT, MOST_SHIFT);
    });
    // A frame without contrast is split by the clip's range, not by its noise.
    const mean = values.reduce((m, value, i) => m + value * histogram[i], 0);
    const variance = values.reduce((v, value, i) => v + histogram[i] * (value - mean) ** 2, 0);
    const trust = Math.min(1, Math.sqrt(variance) / FLAT);
    return thresholds.map((threshold, i) => trust * threshold + (1 - trust) * even[i]);
  }
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// The value at `x` on the line through (xs[i], ys[i]); `xs` ascends.
function interpolate(x, xs, ys) {
  if (x <= xs[0]) return ys[0];
  // The last of equal ones, as numpy takes it.
  let i = xs.length - 1;
  while (i > 0 && xs[i - 1] > x) i--;
  if (xs[xs.length - 1] <= x) return ys[ys.length - 1];
  const span = xs[i] - xs[i - 1];
  return span > 0 ? ys[i - 1] + ((ys[i] - ys[i - 1]) * (x - xs[i - 1])) / span : ys[i];
}

// A rule that nobody asks for lives on unseen: totals of 0 to 1 become LEAST_STRENGTH to 1.
function keepAlive(weights, rules, cells) {
  for (let i = 0; i < cells; i++) {
    let total = 0;
    for (let r = 0; r < rules; r++) total += weights[r * cells + i];
    if (total >= 0.9999) continue;
    const missing = LEAST_STRENGTH * (1 - total);
    for (let r = 0; r < rules; r++)
      weights[r * cells + i] += missing * (total > 1e-4 ? weights[r * cells + i] / total : 1 / rules);
  }
}
