"use strict";
// The NCA on the GPU: states in float32 textures, four channels a texel.
//
//   z  = [perception(s), inputs]
//   s' = s + mask * (W2 @ relu(W1 @ z + b1))
//
// The same filters, weights, edges and fire mask as ncavideo/nca/model.py and ncavideo/nca/fire_mask.py.

class Unsupported extends Error {}

// pcg4d of Jarzynski and Olano, JCGT 9(3), 2020: the first word for (seed, step, row, column).
function pcg4d(seed, step, row, column) {
  let x = (Math.imul(seed, 1664525) + 1013904223) | 0;
  let y = (Math.imul(step, 1664525) + 1013904223) | 0;
  let z = (Math.imul(row, 1664525) + 1013904223) | 0;
  let w = (Math.imul(column, 1664525) + 1013904223) | 0;
  x = (x + Math.imul(y, w)) | 0;
  y = (y + Math.imul(z, x)) | 0;
  z = (z + Math.imul(x, y)) | 0;
  w = (w + Math.imul(y, z)) | 0;
  x ^= x >>> 16;
  y ^= y >>> 16;
  w ^= w >>> 16;
  return (x + Math.imul(y, w)) >>> 0;
}

// The weights in the order in which the shader reads them, rows of zeros where sizes do not fit.
function layOut(set) {
  const { channels, hidden, inputs } = set;
  const texels = Math.ceil(channels / 4);
  const inputTexels = Math.max(1, Math.ceil(inputs.length / 4));
  const hiddenVectors = Math.ceil(hidden / 4);
  const perRow = 4 * texels + inputTexels;
  const each = 1 + 4 * perRow + 4 * texels;
  const data = new Float32Array(4 * each * hiddenVectors);
  const columns = 4 * channels + inputs.length;
  for (let h = 0; h < hidden; h++) {
    const block = 4 * each * (h >> 2);
    const lane = h & 3;
    data[block + lane] = set.b1[h];
    const put = (vector, component, value) => {
      data[block + 4 * (1 + 4 * vector + component) + lane] = value;
    };
    for (let c = 0; c < channels; c++)
      for (let f = 0; f < 4; f++)
        put(f * texels + (c >> 2), c & 3, set.w1[h * columns + 4 * c + f]);
    for (let i = 0; i < inputs.length; i++)
      put(4 * texels + (i >> 2), i & 3, set.w1[h * columns + 4 * channels + i]);
    // The second layer: columns are hidden units.
    for (let c = 0; c < channels; c++)
      data[block + 4 * (1 + 4 * perRow + 4 * (c >> 2) + lane) + (c & 3)] = set.w2[c * hidden + h];
  }
  return { texels, inputTexels, hiddenVectors, vectors: each * hiddenVectors, data };
}

class Engine {
  // `set`: the rule set; `canvas`: where it is shown; `baked`: see `changeShader`.
  constructor(canvas, set, baked = null) {
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: false, preserveDrawingBuffer: true });
    if (!gl) throw new Unsupported("This page needs WebGL 2, which this browser or device does not offer.");
    this.gl = gl;
    this.canvas = canvas;
    this.set = set;
    this.model = layOut(set);
    this.asked = baked;
    this.seed = 0;
    this.wraps = false;
    this.shown = null; // the channel that is shown in grey, -1 to 1; null for colours
    this.begin();
  }

  // Make what the device holds for any grid. A device that was lost and came back holds nothing, and
  // may be another one.
  begin() {
    const { gl, set } = this;
    if (!gl.getExtension("EXT_color_buffer_float"))
      throw new Unsupported("This page needs to draw into float32 textures, which this device does not offer.");
    const needed = 2 * this.model.texels + this.model.inputTexels + 2;
    if (this.model.texels > gl.getParameter(gl.MAX_DRAW_BUFFERS) || needed > gl.getParameter(gl.MAX_TEXTURE_IMAGE_UNITS))
      throw new Unsupported("This rule set has more channels than this device can draw at once.");
    const bytes = this.model.data.byteLength;
    const inBlock = bytes <= gl.getParameter(gl.MAX_UNIFORM_BLOCK_SIZE);
    const info = gl.getExtension("WEBGL_debug_renderer_info");
    this.renderer = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
    this.inSoftware = /swiftshader|llvmpipe|softpipe|software|basic render/i.test(this.renderer);
    this.baked = this.asked === null ? this.inSoftware : this.asked;
    this.changeProgram = this.program(changeShader(this.model, inBlock, this.baked));
    this.stepProgram = this.program(stepShader(this.model));
    this.showProgram = this.program(SHOW);
    if (set.decoder) this.decoderProgram = this.program(decoderShader(this.model, set.decoder));
    this.weights = null;
    if (this.baked) {
      // Nothing to send.
    } else if (inBlock) {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.UNIFORM_BUFFER, buffer);
      gl.bufferData(gl.UNIFORM_BUFFER, this.model.data, gl.STATIC_DRAW);
      gl.bindBufferBase(gl.UNIFORM_BUFFER, 0, buffer);
      gl.uniformBlockBinding(this.changeProgram, gl.getUniformBlockIndex(this.changeProgram, "Weights"), 0);
    } else {
      const rows = Math.ceil(this.model.vectors / 64);
      const padded = new Float32Array(4 * 64 * rows);
      padded.set(this.model.data);
      this.weights = this.texture(gl.RGBA32F, 64, rows, gl.RGBA, gl.FLOAT, padded);
    }
    gl.bindVertexArray(gl.createVertexArray());
    this.spare = gl.getParameter(gl.MAX_COMBINED_TEXTURE_IMAGE_UNITS) - 1;
    gl.activeTexture(gl.TEXTURE0 + this.spare);
    this.made = [];
    this.now = null;
    this.height = this.width = 0;
  }

  program(fragment) {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      const logs = gl.getAttachedShaders(program).map((s) => gl.getShaderInfoLog(s));
      throw new Unsupported("This device cannot compile the page's shaders. " + [gl.getProgramInfoLog(program), ...logs].join(" "));
    }
    // A browser asks the graphics process for each: once is enough.
    const places = new Map();
    program.at = (name) => {
      if (!places.has(name)) places.set(name, gl.getUniformLocation(program, name));
      return places.get(name);
    };
    return program;
  }

  texture(internal, width, height, format, type, data = null) {
    const gl = this.gl;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, data);
    return texture;
  }

  // A framebuffer of `count` float textures.
  target(count, width, height) {
    const gl = this.gl;
    const frame = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    const textures = [];
    for (let i = 0; i < count; i++) {
      textures.push(this.texture(gl.RGBA32F, width, height, gl.RGBA, gl.FLOAT));
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + i, gl.TEXTURE_2D, textures[i], 0);
    }
    gl.drawBuffers(textures.map((_, i) => gl.COLOR_ATTACHMENT0 + i));
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE)
      throw new Unsupported("This page needs to draw into float32 textures, which this device does not offer.");
    this.made.push(frame, ...textures);
    return { frame, textures };
  }

  // Start over on a grid of `height` x `width` cells.
  resize(height, width) {
    const gl = this.gl;
    for (const thing of this.made) thing instanceof WebGLTexture ? gl.deleteTexture(thing) : gl.deleteFramebuffer(thing);
    this.made = [];
    this.height = height;
    this.width = width;
    const { texels, inputTexels } = this.model;
    this.now = this.target(texels, width, height);
    this.next = this.target(texels, width, height);
    this.rows = Math.ceil((height * width) / PACK);
    this.change = this.target(texels, PACK, this.rows);
    this.cells = new Uint32Array(PACK * this.rows);
    this.places = new Uint32Array(height * width);
    this.cellsTexture = this.texture(gl.R32UI, PACK, this.rows, gl.RED_INTEGER, gl.UNSIGNED_INT);
    this.placesTexture = this.texture(gl.R32UI, width, height, gl.RED_INTEGER, gl.UNSIGNED_INT);
    this.inputs = Array.from({ length: inputTexels }, () => this.texture(gl.RGBA32F, width, height, gl.RGBA, gl.FLOAT));
    this.made.push(this.cellsTexture, this.placesTexture, ...this.inputs);
    this.packedInputs = new Float32Array(4 * height * width);
    this.reset();
  }

  reset() {
    this.steps = 0;
    this.setState(new Float32Array(this.set.channels * this.height * this.width));
  }

  // `state` [C, H, W].
  setState(state) {
    const gl = this.gl;
    const cells = this.height * this.width;
    const packed = new Float32Array(4 * cells);
    this.now.textures.forEach((texture, t) => {
      for (let c = 0; c < 4; c++) {
        const from = (4 * t + c) * cells;
        const there = 4 * t + c < this.set.channels;
        for (let i = 0; i < cells; i++) packed[4 * i + c] = there ? state[from + i] : 0;
      }
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, this.width, this.height, gl.RGBA, gl.FLOAT, packed);
    });
  }

  // The state [C, H, W].
  state() {
    const gl = this.gl;
    const cells = this.height * this.width;
    const state = new Float32Array(this.set.channels * cells);
    const packed = new Float32Array(4 * cells);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.now.frame);
    this.now.textures.forEach((_, t) => {
      gl.readBuffer(gl.COLOR_ATTACHMENT0 + t);
      gl.readPixels(0, 0, this.width, this.height, gl.RGBA, gl.FLOAT, packed);
      for (let c = 0; c < 4 && 4 * t + c < this.set.channels; c++)
        for (let i = 0; i < cells; i++) state[(4 * t + c) * cells + i] = packed[4 * i + c];
    });
    return state;
  }

  // `inputs` [I, H, W]: the expression of each rule, then light from -1 to 1.
  setInputs(inputs) {
    const gl = this.gl;
    const cells = this.height * this.width;
    const packed = this.packedInputs;
    this.inputs.forEach((texture, t) => {
      for (let c = 0; c < 4; c++) {
        const from = (4 * t + c) * cells;
        const there = 4 * t + c < this.set.inputs.length;
        for (let i = 0; i < cells; i++) packed[4 * i + c] = there ? inputs[from + i] : 0;
      }
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, this.width, this.height, gl.RGBA, gl.FLOAT, packed);
    });
  }

  // Which cells fire in the next step: their numbers, and each cell's place among them, from 1.
  fire() {
    const { cells, places, width, height, seed, steps } = this;
    const limit = Math.round(this.set.fire_rate * 4294967296);
    let count = 0;
    let i = 0;
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++, i++) {
        if (pcg4d(seed, steps, row, column) < limit) {
          cells[count++] = i;
          places[i] = count;
        } else places[i] = 0;
      }
    return count;
  }

  bind(program, name, textures, from) {
    const gl = this.gl;
    gl.uniform1iv(program.at(name), textures.map((_, i) => from + i));
    textures.forEach((texture, i) => {
      gl.activeTexture(gl.TEXTURE0 + from + i);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
    // Textures are filled through a unit of their own, so that none of these is replaced.
    gl.activeTexture(gl.TEXTURE0 + this.spare);
    return from + textures.length;
  }

  step(count = 1) {
    const gl = this.gl;
    for (let n = 0; n < count; n++) {
      const firing = this.fire();
      const rows = Math.max(1, Math.ceil(firing / PACK));
      gl.bindTexture(gl.TEXTURE_2D, this.cellsTexture);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, PACK, rows, gl.RED_INTEGER, gl.UNSIGNED_INT, this.cells);
      gl.bindTexture(gl.TEXTURE_2D, this.placesTexture);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, this.width, this.height, gl.RED_INTEGER, gl.UNSIGNED_INT, this.places);

      const change = this.changeProgram;
      gl.useProgram(change);
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.change.frame);
      gl.viewport(0, 0, PACK, rows);
      let unit = this.bind(change, "state", this.now.textures, 0);
      unit = this.bind(change, "inputs", this.inputs, unit);
      unit = this.bind(change, "cells", [this.cellsTexture], unit);
      if (this.weights) this.bind(change, "weights", [this.weights], unit);
      gl.uniform2i(change.at("size"), this.width, this.height);
      gl.uniform1i(change.at("count"), firing);
      gl.uniform1i(change.at("wraps"), this.wraps ? 1 : 0);
      gl.drawArrays(gl.TRIANGLES, 0, 3);

      const step = this.stepProgram;
      gl.useProgram(step);
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.next.frame);
      gl.viewport(0, 0, this.width, this.height);
      unit = this.bind(step, "state", this.now.textures, 0);
      unit = this.bind(step, "change", this.change.textures, unit);
      this.bind(step, "places", [this.placesTexture], unit);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
      [this.now, this.next] = [this.next, this.now];
      this.steps = (this.steps + 1) >>> 0;
    }
  }

  // Wait until all steps are taken.
  finish() {
    const gl = this.gl;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.now.frame);
    gl.readBuffer(gl.COLOR_ATTACHMENT0);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.FLOAT, new Float32Array(4));
  }

  // Set all channels of the cells within `radius` of (x, y) back to the seed.
  erase(x, y, radius) {
    const gl = this.gl;
    const r = Math.max(0.5, radius);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.now.frame);
    gl.enable(gl.SCISSOR_TEST);
    for (let row = Math.max(0, Math.ceil(y - r)); row <= Math.min(this.height - 1, y + r); row++) {
      const half = Math.sqrt(r * r - (row - y) * (row - y));
      const left = Math.max(0, Math.ceil(x - half));
      const right = Math.min(this.width - 1, Math.floor(x + half));
      if (right < left) continue;
      gl.scissor(left, row, right - left + 1, 1);
      this.now.textures.forEach((_, t) => gl.clearBufferfv(gl.COLOR, t, [0, 0, 0, 0]));
    }
    gl.disable(gl.SCISSOR_TEST);
  }

  // Draw the texture into `frame`, null for the canvas, of `height` x `width` pixels.
  draw(frame, height, width) {
    const gl = this.gl;
    const hidden = this.shown !== null;
    const decoded = !hidden && !!this.set.decoder;
    const program = decoded ? this.decoderProgram : this.showProgram;
    gl.useProgram(program);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.viewport(0, 0, width, height);
    const all = decoded ? this.now.textures : [this.now.textures[hidden ? this.shown >> 2 : 0]];
    this.bind(program, "state", all, 0);
    gl.uniform1i(program.at("lane"), hidden ? this.shown & 3 : -1);
    gl.uniform2f(program.at("scale"), this.width / width, this.height / height);
    gl.uniform1i(program.at("turned"), frame ? 0 : 1);
    gl.uniform1i(program.at("wraps"), this.wraps ? 1 : 0);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  show() {
    this.draw(null, this.canvas.height, this.canvas.width);
  }

  // What is seen as numbers 0..1, [height, width, 4], rows downwards.
  picture(height, width) {
    const gl = this.gl;
    const made = this.made;
    this.made = [];
    const { frame, textures } = this.target(1, width, height);
    this.made = made;
    this.draw(frame, height, width);
    const pixels = new Float32Array(4 * height * width);
    gl.readBuffer(gl.COLOR_ATTACHMENT0);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.FLOAT, pixels);
    gl.deleteFramebuffer(frame);
    gl.deleteTexture(textures[0]);
    return pixels;
  }
}
