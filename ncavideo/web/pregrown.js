"use strict";
// The grown texture that the page begins with: a tile whose edges wrap, eight bits a value.

const BLOCK = 40; // cells a side of what is taken from the tile in one piece
const SEAM = 8; // cells over which two pieces are mixed

class Pregrown {
  constructor({ size, low, span, cells }) {
    const levels = Uint8Array.from(atob(cells), (c) => c.charCodeAt(0));
    this.size = size;
    this.channels = low.length;
    this.tile = Float32Array.from(levels, (level, i) => {
      const c = Math.floor(i / (size * size));
      return low[c] + (level / 255) * span[c];
    });
  }

  // For each of `count` cells of a row or column: its block, and how much the next one shows in it.
  static places(count) {
    return Array.from({ length: count }, (_, i) => [Math.floor(i / BLOCK), Math.max(0, ((i % BLOCK) + 1 - (BLOCK - SEAM)) / (SEAM + 1))]);
  }

  // The state [C, height, width]: blocks from all over the tile, so that nothing is seen to repeat.
  // The seams between them heal within a second.
  fill(height, width) {
    const { size, channels, tile } = this;
    const state = new Float32Array(channels * height * width);
    const [rows, columns] = [Pregrown.places(height), Pregrown.places(width)];
    const cells = size * size;
    for (let y = 0; y < height; y++) {
      const [row, below] = rows[y];
      for (let x = 0; x < width; x++) {
        const [column, right] = columns[x];
        for (const [r, down] of below ? [[row, 1 - below], [row + 1, below]] : [[row, 1]])
          for (const [c, across] of right ? [[column, 1 - right], [column + 1, right]] : [[column, 1]]) {
            const [up, left] = [pcg4d(0, 0, r, c) % size, pcg4d(0, 1, r, c) % size];
            const from = ((y + up) % size) * size + ((x + left) % size);
            const to = y * width + x;
            for (let k = 0; k < channels; k++) state[k * height * width + to] += down * across * tile[k * cells + from];
          }
      }
    }
    return state;
  }
}
