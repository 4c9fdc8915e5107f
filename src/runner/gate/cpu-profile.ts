/** Reads V8 CPU profiles: how much time each function took by itself. */

import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { FunctionTime } from '../../results/gate-schema.ts'

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string }
  }[]
  readonly samples: readonly number[]
  /** Before each sample, µs. */
  readonly timeDeltas: readonly number[]
}

/** A sleeping fork does nothing, and that is nobody's time. */
const noWork = new Set(['(idle)', '(root)'])

/** Self times of all profiles of a folder whose names begin so, added up, the greatest first. */
export function selfTimes(folder: string, prefix: string): readonly FunctionTime[] {
  const totals = new Map<string, { name: string; place: string; selfNs: number }>()
  for (const file of readdirSync(folder)) {
    if (!file.startsWith(prefix) || !file.endsWith('.cpuprofile')) continue
    addProfile(JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile, totals)
  }
  return [...totals.values()].sort((a, b) => b.selfNs - a.selfNs)
}

function addProfile(
  { nodes, samples, timeDeltas }: CpuProfile,
  totals: Map<string, { name: string; place: string; selfNs: number }>,
): void {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  for (const [index, id] of samples.entries()) {
    const { functionName, url } = frames.get(id)!
    if (noWork.has(functionName)) continue
    const name = functionName === '' ? '(anonymous)' : functionName
    const place = placeOf(url)
    const key = `${name} ${place}`
    const entry = totals.get(key) ?? { name, place, selfNs: 0 }
    // The time of a sample is that to the next one.
    entry.selfNs += 1e3 * Math.max(0, timeDeltas[index + 1] ?? 0)
    totals.set(key, entry)
  }
}

/** The last folder and the file: the same in two builds of one project, wherever they lie. */
function placeOf(url: string): string {
  if (url === '') return ''
  const path = url.replace(/^file:\/\//, '')
  return url.startsWith('node:') ? url : `${basename(dirname(path))}/${basename(path)}`
}
