/**
 * Reads the GLBs that scanpost writes (inbound/scans/glb.py): one mesh, its streams packed by meshopt
 * (KHR_meshopt_compression), its positions in whole steps that the node turns into millimetres.
 */

import { MeshoptDecoder } from "three/examples/jsm/libs/meshopt_decoder.module.js";
import type { Triangles } from "./bvh";

/** A surface as it comes, before anything was computed of it. */
export interface Model extends Triangles {
  /** Four bytes a vertex, linear light. */
  readonly colours?: Uint8Array | undefined;
  /** Two numbers a vertex, from the image's upper left corner. */
  readonly places?: Float32Array | undefined;
  readonly image?: ImageBitmap | undefined;
}

/** Throws whatever it stumbles over: the file is none of ours, or damaged. */
export async function readGlb(bytes: ArrayBuffer): Promise<Model> {
  await MeshoptDecoder.ready;
  const file = new Glb(bytes);
  return { ...file.surface(), image: await file.image() };
}

interface Stream {
  byteOffset: number;
  byteLength: number;
  byteStride: number;
  count: number;
  mode: string;
}

interface About {
  nodes: [{ translation: [number, number, number]; scale: [number, number, number] }];
  meshes: [{ primitives: [{ attributes: Record<string, number>; indices: number }] }];
  accessors: { bufferView: number; componentType: number; count: number }[];
  bufferViews: {
    byteOffset: number;
    byteLength: number;
    extensions?: { KHR_meshopt_compression: Stream };
  }[];
  images?: [{ bufferView: number; mimeType: string }];
}

const bytesOf = 5121;
const shorts = 5123;
const floats = 5126;

class Glb {
  private readonly about: About;
  private readonly body: Uint8Array<ArrayBuffer>;

  constructor(bytes: ArrayBuffer) {
    const words = new DataView(bytes);
    if (words.getUint32(0, true) !== 0x46546c67) throw new Error("not a GLB");
    const head = words.getUint32(12, true);
    this.about = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 20, head))) as About;
    this.body = new Uint8Array(bytes, 20 + head + 8);
  }

  surface(): Model {
    const { attributes, indices } = this.about.meshes[0].primitives[0];
    const { POSITION, COLOR_0, TEXCOORD_0 } = attributes;
    return {
      positions: this.millimetres(POSITION!),
      corners: this.unpacked(indices) as Uint32Array,
      colours: COLOR_0 === undefined ? undefined : (this.unpacked(COLOR_0) as Uint8Array),
      places: TEXCOORD_0 === undefined ? undefined : (this.unpacked(TEXCOORD_0) as Float32Array),
    };
  }

  /** A picture is decoded here and not fetched from an address of its own: the page's policy has none. */
  async image(): Promise<ImageBitmap | undefined> {
    const [image] = this.about.images ?? [];
    if (!image) return undefined;
    const { byteOffset, byteLength } = this.about.bufferViews[image.bufferView]!;
    const data = this.body.slice(byteOffset, byteOffset + byteLength);
    return createImageBitmap(new Blob([data], { type: image.mimeType }));
  }

  private millimetres(accessor: number): Float32Array {
    const steps = this.unpacked(accessor) as Uint16Array;
    const [{ translation, scale }] = this.about.nodes;
    const [right, up, back] = translation;
    const [wide, high, deep] = scale;
    const places = new Float32Array((steps.length / 4) * 3);
    for (let from = 0, to = 0; from < steps.length; from += 4, to += 3) {
      places[to] = steps[from]! * wide + right;
      places[to + 1] = steps[from + 1]! * high + up;
      places[to + 2] = steps[from + 2]! * deep + back;
    }
    return places;
  }

  private unpacked(number: number): Uint8Array | Uint16Array | Uint32Array | Float32Array {
    const { bufferView, componentType } = this.about.accessors[number]!;
    const { byteOffset, byteLength, byteStride, count, mode } =
      this.about.bufferViews[bufferView]!.extensions!.KHR_meshopt_compression;
    const target = new Uint8Array(count * byteStride);
    const source = this.body.subarray(byteOffset, byteOffset + byteLength);
    MeshoptDecoder.decodeGltfBuffer(target, count, byteStride, source, mode);
    if (componentType === bytesOf) return target;
    if (componentType === shorts) return new Uint16Array(target.buffer);
    if (componentType === floats) return new Float32Array(target.buffer);
    return new Uint32Array(target.buffer);
  }
}
