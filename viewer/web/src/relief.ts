/**
 * What makes bare triangles look like a scan: normals, and how deep each vertex lies in a hollow.
 * Our GLBs carry neither; both are cheap here and would be most of the bytes on the wire.
 */

import type { Triangles } from "./bvh";

export interface Relief {
  /** Three numbers a vertex, of length 1. */
  readonly normals: Float32Array;
  /** 0 on a plain or a ridge, 255 in the deepest fissure. */
  readonly hollow: Uint8Array;
}

export function relief({ positions, corners }: Triangles): Relief {
  const normals = new Float32Array(positions.length);
  addFaceNormals(positions, corners, normals);
  normalise(normals);
  return { normals, hollow: hollowness(positions, corners, normals) };
}

/** Sums each triangle's normal, longer for a larger one, into its three corners. */
function addFaceNormals(p: Float32Array, corners: Uint32Array, normals: Float32Array): void {
  for (let i = 0; i < corners.length; i += 3) {
    const a = corners[i]! * 3;
    const b = corners[i + 1]! * 3;
    const c = corners[i + 2]! * 3;
    const ux = p[b]! - p[a]!;
    const uy = p[b + 1]! - p[a + 1]!;
    const uz = p[b + 2]! - p[a + 2]!;
    const vx = p[c]! - p[a]!;
    const vy = p[c + 1]! - p[a + 1]!;
    const vz = p[c + 2]! - p[a + 2]!;
    const x = uy * vz - uz * vy;
    const y = uz * vx - ux * vz;
    const z = ux * vy - uy * vx;
    normals[a]! += x;
    normals[a + 1]! += y;
    normals[a + 2]! += z;
    normals[b]! += x;
    normals[b + 1]! += y;
    normals[b + 2]! += z;
    normals[c]! += x;
    normals[c + 1]! += y;
    normals[c + 2]! += z;
  }
}

function normalise(vectors: Float32Array): void {
  for (let i = 0; i < vectors.length; i += 3) {
    const x = vectors[i]!;
    const y = vectors[i + 1]!;
    const z = vectors[i + 2]!;
    // Math.hypot, careful of overflow, would take ten times as long.
    const length = Math.sqrt(x * x + y * y + z * z) || 1;
    vectors[i] = x / length;
    vectors[i + 1] = y / length;
    vectors[i + 2] = z / length;
  }
}

const smoothings = 3;
/** Curvature, in 1/mm, at which a hollow begins to darken and at which it is darkest. */
const hollowBegins = 0.12;
const hollowEnds = 2.2;

/** How hollow the surface is at each vertex, 0 to 255: fissures, margins and gaps between teeth. */
function hollowness(positions: Float32Array, corners: Uint32Array, normals: Float32Array): Uint8Array {
  const count = positions.length / 3;
  let curvature = new Float32Array(count);
  const edges = new Float32Array(count);
  for (let i = 0; i < corners.length; i += 3) {
    for (let side = 0; side < 3; side++) {
      const a = corners[i + side]!;
      const b = corners[i + ((side + 1) % 3)]!;
      addBend(positions, normals, a, b, curvature);
      edges[a]! += 1;
      edges[b]! += 1;
    }
  }
  for (let v = 0; v < count; v++) curvature[v]! /= edges[v] || 1;
  for (let pass = 0; pass < smoothings; pass++) {
    const sums = new Float32Array(count);
    for (let i = 0; i < corners.length; i += 3) {
      const a = corners[i]!;
      const b = corners[i + 1]!;
      const c = corners[i + 2]!;
      sums[a]! += curvature[b]! + curvature[c]!;
      sums[b]! += curvature[c]! + curvature[a]!;
      sums[c]! += curvature[a]! + curvature[b]!;
    }
    for (let v = 0; v < count; v++) sums[v] = (curvature[v]! + sums[v]! / (edges[v] || 1)) / 2;
    curvature = sums;
  }
  const shade = new Uint8Array(count);
  const span = hollowEnds - hollowBegins;
  for (let v = 0; v < count; v++) {
    const depth = Math.min(Math.max((curvature[v]! - hollowBegins) / span, 0), 1);
    shade[v] = 255 * Math.sqrt(depth);
  }
  return shade;
}

/** Adds to both ends of an edge how much it rises above the surface there, as a curvature. */
function addBend(
  p: Float32Array,
  n: Float32Array,
  a: number,
  b: number,
  curvature: Float32Array,
): void {
  const i = a * 3;
  const j = b * 3;
  const x = p[j]! - p[i]!;
  const y = p[j + 1]! - p[i + 1]!;
  const z = p[j + 2]! - p[i + 2]!;
  const scale = 2 / (x * x + y * y + z * z || 1);
  curvature[a]! += scale * (n[i]! * x + n[i + 1]! * y + n[i + 2]! * z);
  curvature[b]! -= scale * (n[j]! * x + n[j + 1]! * y + n[j + 2]! * z);
}
