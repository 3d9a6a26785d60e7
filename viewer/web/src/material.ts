/** How a scan's surface looks: matte, its own colours or its role's, hollows darkened, ghostly when asked. */

import {
  Color,
  DoubleSide,
  MeshBasicMaterial,
  MeshLambertMaterial,
  type Texture,
} from "three";

const design = 0x7fb3d5;
const bite = 0x9aa5b1;
const stone = 0xe3dacb;
/** Steps of a depth of 24 bits over two metres: a tenth of a millimetre. */
const behindBy = 1000;

export function scanMaterial(role: string): MeshLambertMaterial {
  const material = new MeshLambertMaterial({
    color: roleColour(role),
    side: DoubleSide,
    forceSinglePass: true,
    // A bite was scanned from the same teeth: it lies in the jaws, and they would flicker through it.
    polygonOffset: isBite(role),
    polygonOffsetFactor: 1,
    polygonOffsetUnits: behindBy,
  });
  material.onBeforeCompile = (shader) => {
    shader.vertexShader = shader.vertexShader
      .replace("#include <common>", "#include <common>\nattribute float hollow;\nvarying float vHollow;")
      .replace("#include <begin_vertex>", "#include <begin_vertex>\nvHollow = hollow;");
    shader.fragmentShader = shader.fragmentShader
      .replace("#include <common>", "#include <common>\nvarying float vHollow;")
      .replace("#include <color_fragment>", `#include <color_fragment>\n${darkenHollows}`);
  };
  return material;
}

/** Where a surface has its colours from; from its role where it has none. */
interface Colours {
  readonly texture: Texture | undefined;
  readonly vertices: boolean;
  /** They are a map's, to be compared with a legend: hollows do not darken them. */
  readonly map: boolean;
}

export function colour(
  material: MeshLambertMaterial,
  role: string,
  { texture, vertices, map }: Colours,
): void {
  material.map = texture ?? null;
  material.vertexColors = !texture && vertices;
  material.color.set(texture || vertices ? 0xffffff : roleColour(role));
  material.defines = map ? { ...material.defines, MAPPED: "" } : without(material.defines, "MAPPED");
  material.needsUpdate = true;
}

function without(defines: Record<string, unknown> | undefined, name: string): Record<string, unknown> {
  const { [name]: _, ...others } = defines ?? {};
  return others;
}

const darkenHollows = `
  #ifndef MAPPED
  diffuseColor.rgb *= mix(vec3(1.0), vec3(0.30, 0.25, 0.23), vHollow);
  if (!gl_FrontFacing) diffuseColor.rgb *= 0.8;
  #endif
`;

/** Drawn just before a see-through scan, into depth alone, so that only its nearest surface shows. */
export function depthMaterial(): MeshBasicMaterial {
  return new MeshBasicMaterial({
    colorWrite: false,
    transparent: true,
    side: DoubleSide,
    forceSinglePass: true,
    polygonOffset: true,
    polygonOffsetFactor: 1,
    polygonOffsetUnits: 1,
  });
}

/** What stands for the scan in the list: its one colour, or gum over enamel where it brings its own. */
export function swatch(role: string, ownColours: boolean): string {
  if (ownColours) return "linear-gradient(#d98b86 50%, #efe6d2 50%)";
  return `#${roleColour(role).getHexString()}`;
}

function roleColour(role: string): Color {
  if (/design|crown|cad|wax/.test(role)) return new Color(design);
  return new Color(isBite(role) ? bite : stone);
}

function isBite(role: string): boolean {
  return /bite|buccal/.test(role);
}
