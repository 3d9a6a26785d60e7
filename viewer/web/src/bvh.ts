/**
 * A tree of boxes over a scan's triangles, so that a tap finds its triangle among a million in
 * microseconds and a plane finds the line that it cuts in ten milliseconds.
 *
 * Flat arrays and no library: a worker builds it, the page is handed its memory, and neither copies.
 * Nodes lie depth first: a node's left child is the next one, its right child is said by the node.
 */

/** A surface as plain numbers: millimetres, three corners a triangle. */
export interface Triangles {
  readonly positions: Float32Array;
  readonly corners: Uint32Array;
}

export interface Tree {
  /** Six numbers a node: its box's lower corner, then its upper one. */
  readonly boxes: Float32Array;
  /** Two numbers a node: a leaf's first triangle and how many it has; else the right child and 0. */
  readonly nodes: Uint32Array;
}

export interface Hit {
  readonly distance: number;
  readonly triangle: number;
}

type Triple = readonly [number, number, number];

/** Few enough that a leaf is cheap to try, many enough that the tree is small beside its triangles. */
const leafSize = 16;
const deepest = 64;

/** Builds the tree, and puts the triangles into its order: leaf after leaf. */
export function buildTree({ positions, corners }: Triangles): Tree {
  const count = corners.length / 3;
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  const middles = middlesOf(positions, corners);
  const tree = new Growing(Math.ceil(count / leafSize) * 4 + 1);
  // What waits to be split: from, to, the node whose right child it is (or none), and how deep it lies.
  const waiting: [number, number, number, number][] = [[0, count, -1, 0]];
  while (waiting.length) {
    const [from, to, parent, depth] = waiting.pop()!;
    const node = tree.add();
    if (parent >= 0) tree.nodes[parent * 2] = node;
    const split = to - from > leafSize && depth < deepest ? divide(middles, order, from, to) : from;
    if (split <= from || split >= to) {
      tree.nodes[node * 2] = from;
      tree.nodes[node * 2 + 1] = to - from;
      continue;
    }
    waiting.push([split, to, node, depth + 1], [from, split, -1, depth + 1]);
  }
  putInOrder(corners, order);
  const grown = tree.cut();
  setBoxes(grown, positions, corners);
  return grown;
}

/** Nodes as they are added; their memory doubles when it is full, and is cut to size at the end. */
class Growing {
  boxes: Float32Array;
  nodes: Uint32Array;
  private count = 0;

  constructor(private room: number) {
    this.boxes = new Float32Array(room * 6);
    this.nodes = new Uint32Array(room * 2);
  }

  add(): number {
    if (this.count === this.room) {
      this.room *= 2;
      const { boxes, nodes } = this;
      this.boxes = new Float32Array(this.room * 6);
      this.boxes.set(boxes);
      this.nodes = new Uint32Array(this.room * 2);
      this.nodes.set(nodes);
    }
    return this.count++;
  }

  cut(): { boxes: Float32Array; nodes: Uint32Array } {
    return { boxes: this.boxes.slice(0, this.count * 6), nodes: this.nodes.slice(0, this.count * 2) };
  }
}

/**
 * The nearest triangle that a ray meets from either side, farther than `after`.
 *
 * `accept` may turn a hit down by its distance, such as one in a half that is cut away.
 */
export function cast(
  { boxes, nodes }: Tree,
  { positions, corners }: Triangles,
  from: Triple,
  along: Triple,
  after = 0,
  accept: (distance: number) => boolean = () => true,
): Hit | undefined {
  const inverse: Triple = [1 / along[0], 1 / along[1], 1 / along[2]];
  let best = Infinity;
  let triangle = -1;
  const stack = [0];
  while (stack.length) {
    const node = stack.pop()!;
    if (!meetsBox(boxes, node * 6, from, inverse, best)) continue;
    const count = nodes[node * 2 + 1]!;
    const first = nodes[node * 2]!;
    if (!count) {
      stack.push(first, node + 1);
      continue;
    }
    for (let i = first; i < first + count; i++) {
      const distance = meetsTriangle(positions, corners, i * 3, from, along);
      if (distance > after && distance < best && accept(distance)) {
        best = distance;
        triangle = i;
      }
    }
  }
  return triangle < 0 ? undefined : { distance: best, triangle };
}

/** The line in which a plane cuts the surface: pairs of points, six numbers a segment. */
export function cut(
  { boxes, nodes }: Tree,
  { positions, corners }: Triangles,
  normal: Triple,
  constant: number,
): Float32Array {
  const found: number[] = [];
  const side = (corner: number): number => {
    const at = corners[corner]! * 3;
    return (
      normal[0] * positions[at]! + normal[1] * positions[at + 1]! + normal[2] * positions[at + 2]! + constant
    );
  };
  const stack = [0];
  while (stack.length) {
    const node = stack.pop()!;
    if (!straddles(boxes, node * 6, normal, constant)) continue;
    const count = nodes[node * 2 + 1]!;
    const first = nodes[node * 2]!;
    if (!count) {
      stack.push(first, node + 1);
      continue;
    }
    for (let i = first; i < first + count; i++) {
      const corner = i * 3;
      const sides: Triple = [side(corner), side(corner + 1), side(corner + 2)];
      addSegment(found, positions, corners, corner, sides);
    }
  }
  return Float32Array.from(found);
}

function putInOrder(corners: Uint32Array, order: Uint32Array): void {
  const before = corners.slice();
  for (let i = 0; i < order.length; i++) {
    const from = order[i]! * 3;
    corners[i * 3] = before[from]!;
    corners[i * 3 + 1] = before[from + 1]!;
    corners[i * 3 + 2] = before[from + 2]!;
  }
}

function middlesOf(positions: Float32Array, corners: Uint32Array): Float32Array {
  const middles = new Float32Array(corners.length);
  for (let i = 0; i < corners.length; i += 3) {
    const a = corners[i]! * 3;
    const b = corners[i + 1]! * 3;
    const c = corners[i + 2]! * 3;
    for (let axis = 0; axis < 3; axis++) {
      middles[i + axis] = (positions[a + axis]! + positions[b + axis]! + positions[c + axis]!) / 3;
    }
  }
  return middles;
}

/** Sorts a run of triangles to both sides of the middle of its longest axis; returns where they part. */
function divide(middles: Float32Array, order: Uint32Array, from: number, to: number): number {
  // A thousand of a million tell where the middle is; where they are all in one place, every one is asked.
  const sampled = span(middles, order, from, to, Math.max(1, (to - from) >> 10));
  const { axis, middle } = sampled.size ? sampled : span(middles, order, from, to, 1);
  let left = from;
  let right = to - 1;
  while (left <= right) {
    if (middles[order[left]! * 3 + axis]! < middle) left++;
    else {
      const other = order[right]!;
      order[right--] = order[left]!;
      order[left] = other;
    }
  }
  return left;
}

/** The longest axis of every `step`th middle, how long it is, and its own middle. */
function span(
  middles: Float32Array,
  order: Uint32Array,
  from: number,
  to: number,
  step: number,
): { readonly axis: number; readonly size: number; readonly middle: number } {
  let [x0, y0, z0, x1, y1, z1] = [Infinity, Infinity, Infinity, -Infinity, -Infinity, -Infinity];
  for (let i = from; i < to; i += step) {
    const at = order[i]! * 3;
    const x = middles[at]!;
    const y = middles[at + 1]!;
    const z = middles[at + 2]!;
    if (x < x0) x0 = x;
    if (x > x1) x1 = x;
    if (y < y0) y0 = y;
    if (y > y1) y1 = y;
    if (z < z0) z0 = z;
    if (z > z1) z1 = z;
  }
  const sizes = [x1 - x0, y1 - y0, z1 - z0];
  const size = Math.max(...sizes);
  const axis = sizes.indexOf(size);
  return { axis, size, middle: [x0 + x1, y0 + y1, z0 + z1][axis]! / 2 };
}

/** From the last node to the first, so that both children are known before their parent. */
function setBoxes({ boxes, nodes }: Tree, positions: Float32Array, corners: Uint32Array): void {
  for (let node = nodes.length / 2 - 1; node >= 0; node--) {
    const count = nodes[node * 2 + 1]!;
    const first = nodes[node * 2]!;
    if (count) setLeaf(boxes, node * 6, positions, corners, first * 3, (first + count) * 3);
    else join(boxes, node * 6, (node + 1) * 6, first * 6);
  }
}

function setLeaf(
  boxes: Float32Array,
  place: number,
  positions: Float32Array,
  corners: Uint32Array,
  from: number,
  to: number,
): void {
  boxes.fill(Infinity, place, place + 3).fill(-Infinity, place + 3, place + 6);
  for (let k = from; k < to; k++) {
    const at = corners[k]! * 3;
    for (let axis = 0; axis < 3; axis++) {
      const value = positions[at + axis]!;
      if (value < boxes[place + axis]!) boxes[place + axis] = value;
      if (value > boxes[place + 3 + axis]!) boxes[place + 3 + axis] = value;
    }
  }
}

function join(boxes: Float32Array, place: number, one: number, other: number): void {
  for (let axis = 0; axis < 3; axis++) {
    boxes[place + axis] = Math.min(boxes[one + axis]!, boxes[other + axis]!);
    boxes[place + 3 + axis] = Math.max(boxes[one + 3 + axis]!, boxes[other + 3 + axis]!);
  }
}

function meetsBox(
  boxes: Float32Array,
  at: number,
  from: Triple,
  inverse: Triple,
  nearest: number,
): boolean {
  let enter = 0;
  let leave = nearest;
  for (let axis = 0; axis < 3; axis++) {
    const one = (boxes[at + axis]! - from[axis]!) * inverse[axis]!;
    const other = (boxes[at + 3 + axis]! - from[axis]!) * inverse[axis]!;
    // A ray in the plane of a face gives 0 * Infinity: no number, which must not shut it out.
    if (Number.isNaN(one) || Number.isNaN(other)) continue;
    enter = Math.max(enter, Math.min(one, other));
    leave = Math.min(leave, Math.max(one, other));
  }
  return enter <= leave;
}

/** How far along the ray it meets the triangle (Möller and Trumbore 1997), or -1. */
function meetsTriangle(
  p: Float32Array,
  corners: Uint32Array,
  corner: number,
  [ox, oy, oz]: Triple,
  [dx, dy, dz]: Triple,
): number {
  const a = corners[corner]! * 3;
  const b = corners[corner + 1]! * 3;
  const c = corners[corner + 2]! * 3;
  const ux = p[b]! - p[a]!;
  const uy = p[b + 1]! - p[a + 1]!;
  const uz = p[b + 2]! - p[a + 2]!;
  const vx = p[c]! - p[a]!;
  const vy = p[c + 1]! - p[a + 1]!;
  const vz = p[c + 2]! - p[a + 2]!;
  const hx = dy * vz - dz * vy;
  const hy = dz * vx - dx * vz;
  const hz = dx * vy - dy * vx;
  const area = ux * hx + uy * hy + uz * hz;
  if (!area) return -1;
  const sx = ox - p[a]!;
  const sy = oy - p[a + 1]!;
  const sz = oz - p[a + 2]!;
  const s = (sx * hx + sy * hy + sz * hz) / area;
  if (s < 0 || s > 1) return -1;
  const qx = sy * uz - sz * uy;
  const qy = sz * ux - sx * uz;
  const qz = sx * uy - sy * ux;
  const t = (dx * qx + dy * qy + dz * qz) / area;
  if (t < 0 || s + t > 1) return -1;
  return (vx * qx + vy * qy + vz * qz) / area;
}

function straddles(boxes: Float32Array, at: number, normal: Triple, constant: number): boolean {
  let least = constant;
  let most = constant;
  for (let axis = 0; axis < 3; axis++) {
    const one = normal[axis]! * boxes[at + axis]!;
    const other = normal[axis]! * boxes[at + 3 + axis]!;
    least += Math.min(one, other);
    most += Math.max(one, other);
  }
  return least <= 0 && most >= 0;
}

/** A corner that lies in the plane counts to its upper side: so each cut triangle gives one segment. */
function addSegment(
  found: number[],
  p: Float32Array,
  corners: Uint32Array,
  corner: number,
  sides: Triple,
): void {
  const above = sides.map((side) => side >= 0);
  if (above[0] === above[1] && above[1] === above[2]) return;
  for (let k = 0; k < 3; k++) {
    const next = (k + 1) % 3;
    if (above[k] === above[next]) continue;
    const one = corners[corner + k]! * 3;
    const other = corners[corner + next]! * 3;
    const part = sides[k]! / (sides[k]! - sides[next]!);
    for (let axis = 0; axis < 3; axis++) {
      found.push(p[one + axis]! + part * (p[other + axis]! - p[one + axis]!));
    }
  }
}
