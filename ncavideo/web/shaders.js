"use strict";
// The engine's programs for the GPU, written for the shape of a network.

const VERTEX = `#version 300 es
void main() {
  // One triangle that covers everything.
  gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}`;

const range = (count, line) => Array.from({ length: count }, (_, i) => line(i)).join("\n");

// A vector of weights as the shader writes it, to the last bit.
function literal(data, i) {
  const numbers = Array.from(data.subarray(4 * i, 4 * i + 4), (v) => {
    const text = String(v);
    return /[.e]/.test(text) ? text : text + ".0";
  });
  return `vec4(${numbers.join(", ")})`;
}

// How many firing cells a row of the packed textures holds.
const PACK = 256;

// The change of the cells that fire, packed side by side so that no processor waits for a cell
// that does not.
//
// `baked`: the weights are literals in the code. A renderer in software is ten times as fast then
// as with a table; a GPU needs no such help, and its compiler may take long over it.
function changeShader(model, inBlock, baked) {
  const { texels, inputTexels, hiddenVectors } = model;
  const perRow = 4 * texels + inputTexels;
  const each = 1 + 4 * perRow + 4 * texels;
  // Four hidden units, and what they add to the change; `w(i)` is the i-th vector of weights.
  const hiddenVector = (at, w) => {
    const matrix = (i) => `mat4(${w(i)}, ${w(i + 1)}, ${w(i + 2)}, ${w(i + 3)})`;
    return `sum = ${w(at)};
    ${range(perRow, (i) => `sum += ${matrix(at + 1 + 4 * i)} * z[${i}];`)}
    sum = max(sum, vec4(0.0));
    ${range(texels, (t) => `change${t} += ${matrix(at + 1 + 4 * perRow + 4 * t)} * sum;`)}`;
  };
  return `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp usampler2D;
uniform sampler2D state[${texels}];
uniform sampler2D inputs[${inputTexels}];
uniform usampler2D cells;
uniform ivec2 size;
uniform int count;
uniform bool wraps;
${baked ? "" : inBlock ? `layout(std140) uniform Weights { vec4 w[${model.vectors}]; };
#define W(i) w[i]` : `uniform sampler2D weights;
#define W(i) texelFetch(weights, ivec2((i) & 63, (i) >> 6), 0)`}
${range(texels, (t) => `layout(location = ${t}) out vec4 change${t};`)}

int beside(int p, int n) {
  if (wraps) return p < 0 ? p + n : (p >= n ? p - n : p);
  return clamp(p, 0, n - 1);
}

void main() {
  ivec2 slot = ivec2(gl_FragCoord.xy);
  ${range(texels, (t) => `change${t} = vec4(0.0);`)}
  if (slot.y * ${PACK} + slot.x >= count) return;
  uint cell = texelFetch(cells, slot, 0).r;
  ivec2 here = ivec2(int(cell) % size.x, int(cell) / size.x);
  int l = beside(here.x - 1, size.x), r = beside(here.x + 1, size.x);
  int u = beside(here.y - 1, size.y), d = beside(here.y + 1, size.y);
  vec4 z[${perRow}];
  ${range(texels, (t) => `{
    vec4 a = texelFetch(state[${t}], ivec2(l, u), 0), b = texelFetch(state[${t}], ivec2(here.x, u), 0);
    vec4 c = texelFetch(state[${t}], ivec2(r, u), 0), e = texelFetch(state[${t}], ivec2(l, here.y), 0);
    vec4 f = texelFetch(state[${t}], here, 0), g = texelFetch(state[${t}], ivec2(r, here.y), 0);
    vec4 h = texelFetch(state[${t}], ivec2(l, d), 0), i = texelFetch(state[${t}], ivec2(here.x, d), 0);
    vec4 j = texelFetch(state[${t}], ivec2(r, d), 0);
    z[${t}] = f;
    z[${texels + t}] = (c - a + 2.0 * (g - e) + j - h) / 8.0;
    z[${2 * texels + t}] = (h - a + 2.0 * (i - b) + j - c) / 8.0;
    z[${3 * texels + t}] = (a + c + h + j + 2.0 * (b + e + g + i) - 12.0 * f) / 16.0;
  }`)}
  ${range(inputTexels, (t) => `z[${4 * texels + t}] = texelFetch(inputs[${t}], here, 0);`)}
  ${baked
    ? `vec4 sum;\n${range(hiddenVectors, (k) => hiddenVector(k * each, (i) => literal(model.data, i)))}`
    : `vec4 sum;\nint at = 0;\nfor (int k = 0; k < ${hiddenVectors}; k++, at += ${each}) {\n${hiddenVector(0, (i) => `W(at + ${i})`)}\n}`}
}`;
}

// The next state: what a cell was, and its change where it fires.
function stepShader(model) {
  const { texels } = model;
  return `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp usampler2D;
uniform sampler2D state[${texels}];
uniform sampler2D change[${texels}];
uniform usampler2D places;
${range(texels, (t) => `layout(location = ${t}) out vec4 next${t};`)}
void main() {
  ivec2 here = ivec2(gl_FragCoord.xy);
  ${range(texels, (t) => `next${t} = texelFetch(state[${t}], here, 0);`)}
  uint place = texelFetch(places, here, 0).r;
  if (place == 0u) return;
  ivec2 slot = ivec2(int(place - 1u) % ${PACK}, int(place - 1u) / ${PACK});
  ${range(texels, (t) => `next${t} += texelFetch(change[${t}], slot, 0);`)}
}`;
}

const SHOW = `#version 300 es
precision highp float;
precision highp sampler2D;
uniform sampler2D state;
uniform vec2 scale;
uniform int lane; // of a hidden channel that is shown in grey; -1 for colours
uniform bool turned;
out vec4 colour;
vec3 at(ivec2 p) {
  vec4 cell = texelFetch(state, clamp(p, ivec2(0), textureSize(state, 0) - 1), 0);
  return 0.5 + (lane < 0 ? cell.rgb : vec3(0.5 * cell[lane]));
}
void main() {
  // Rows run downwards. Float textures need not filter, so the four cells around are mixed here.
  vec2 size = vec2(textureSize(state, 0));
  vec2 p = gl_FragCoord.xy * scale;
  p = vec2(p.x, turned ? size.y - p.y : p.y) - 0.5;
  ivec2 i = ivec2(floor(p));
  vec2 f = p - vec2(i);
  vec3 mixed = mix(mix(at(i), at(i + ivec2(1, 0)), f.x), mix(at(i + ivec2(0, 1)), at(i + ivec2(1, 1)), f.x), f.y);
  colour = vec4(clamp(mixed, 0.0, 1.0), 1.0);
}`;

// What a learned decoder draws (ncavideo/nca/decoder.py): the softened state between cells, by the
// quadratic B-spline, through one hidden layer to colour. Softening and spline are one kernel here, of
// 5x5 cells. `turned`: rows run downwards on a canvas.
function decoderShader(model, decoder) {
  const { texels } = model;
  const { hidden } = decoder;
  const channels = decoder.w1.length / hidden;
  const vector = (value) => literal(Float32Array.from([0, 1, 2, 3], value), 0);
  const groups = Math.ceil(hidden / 4);
  const unit = (g, lane) => 4 * g + lane;
  const weight = (g, c) => vector((_, lane) => (unit(g, lane) < hidden && c < channels ? decoder.w1[unit(g, lane) * channels + c] : 0));
  const sums = range(groups, (g) => `
  sum = ${vector((_, lane) => (unit(g, lane) < hidden ? decoder.b1[unit(g, lane)] : 0))};
  ${range(texels, (t) => `sum += mat4(${[0, 1, 2, 3].map((c) => weight(g, 4 * t + c)).join(", ")}) * x${t};`)}
  sum = max(sum, vec4(0.0));
  rgb += vec3(${[0, 1, 2].map((row) => `dot(sum, ${vector((_, lane) => (unit(g, lane) < hidden ? decoder.w2[row * hidden + unit(g, lane)] : 0))})`).join(", ")});`);
  return `#version 300 es
precision highp float;
precision highp sampler2D;
uniform sampler2D state[${texels}];
uniform vec2 scale;
uniform bool turned;
uniform bool wraps;
out vec4 colour;
ivec2 beside(ivec2 p, ivec2 n) { return wraps ? (p + 2 * n) % n : clamp(p, ivec2(0), n - 1); }
void main() {
  ivec2 size = textureSize(state[0], 0);
  vec2 p = gl_FragCoord.xy * scale;
  if (turned) p.y = float(size.y) - p.y;
  ivec2 here = clamp(ivec2(floor(p)), ivec2(0), size - 1);
  vec2 t = p - vec2(here) - 0.5;
  vec2 before = 0.5 * (0.5 - t) * (0.5 - t), own = 0.75 - t * t, after = 0.5 * (0.5 + t) * (0.5 + t);
  vec2 taps[5] = vec2[](before, 2.0 * before + own, before + 2.0 * own + after, own + 2.0 * after, after);
  ${range(texels, (t) => `vec4 x${t} = vec4(0.0);`)}
  for (int y = 0; y < 5; y++)
    for (int x = 0; x < 5; x++) {
      float w = taps[x].x * taps[y].y / 16.0;
      ivec2 at = beside(here + ivec2(x - 2, y - 2), size);
      ${range(texels, (t) => `x${t} += w * texelFetch(state[${t}], at, 0);`)}
    }
  vec3 rgb = x0.rgb + 0.5;
  vec4 sum;
  ${sums}
  colour = vec4(clamp(rgb, 0.0, 1.0), 1.0);
}`;
}
