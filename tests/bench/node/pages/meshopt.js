import { MeshoptDecoder } from "three/examples/jsm/libs/meshopt_decoder.module.js";

globalThis.MeshoptDecoder = MeshoptDecoder;
