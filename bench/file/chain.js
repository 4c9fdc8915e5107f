/** The log that the benchmarks of packing pack: 400 000 records of which half go; each object refers to the next one. */

import { storeObjects } from './support.js'

const objects = 200_000
const data = new Uint8Array(400).fill(7)

/** @param {number} oid */
export function stateOf(oid) {
  const state = data.slice()
  new DataView(state.buffer).setUint32(0, oid + 1 < objects ? oid + 1 : 0)
  return state
}

/** @param {Uint8Array} state */
export const references = (state) => [new DataView(state.buffer, state.byteOffset).getUint32(0)]

/** @param {any} storage */
export async function fillChain(storage) {
  for (let revision = 0; revision < 2; revision++) await storeObjects(storage, objects, stateOf)
}
