/**
 * Watches the machine from outside while the gate measures: who waited for processors, disk and memory, what the
 * hypervisor and the control group took away, and how long a fixed piece of work and a fixed piece of writing take
 * while no fork runs. It knows nothing of what was measured, which is why its word may set a block aside.
 */

import { readFileSync } from 'node:fs'
import { systemClock } from '../../core/clock.ts'
import type { MachineReading } from '../../results/gate-schema.ts'
import { probeFsync } from '../environment.ts'

/** Reads a file of the kernel; undefined where there is none. */
export type KernelFile = (path: string) => string | undefined

/** Some 30 ms on a processor of today. */
const rulerSteps = 2e7
const fsyncProbes = 10

interface Totals {
  readonly atNs: number
  /** By resource: how long somebody has waited since the system started, ns. Undefined where it is not counted. */
  readonly waitedNs: Readonly<Record<'cpu' | 'io' | 'memory', number | undefined>>
  readonly ticks: { readonly stolen: number; readonly all: number } | undefined
  readonly throttledNs: number | undefined
}

export class Sentinel {
  readonly #folder: string
  readonly #read: KernelFile
  #rulers: { readonly cpuNs: number; readonly fsyncNs: number }
  #before: Totals

  /** @param folder where stores are made: the disk that is measured */
  constructor(folder: string, read: KernelFile = kernelFile) {
    this.#folder = folder
    this.#read = read
    // The first time is slower: the loop is not compiled yet.
    rule()
    this.#rulers = this.#measure()
    this.#before = this.#totals()
  }

  /** What cannot be read here, as people say it. */
  get missing(): readonly string[] {
    const { waitedNs, ticks, throttledNs } = this.#before
    return [
      ...(Object.values(waitedNs).every((ns) => ns === undefined) ? ['pressure (/proc/pressure)'] : []),
      ...(ticks === undefined ? ['stolen time (/proc/stat)'] : []),
      ...(throttledNs === undefined ? ['throttling (cpu.stat of the control group)'] : []),
    ]
  }

  /** From the end of the last reading, or the construction, to now. No fork may be alive: the rulers need quiet. */
  read(): MachineReading {
    const before = this.#before
    const after = this.#totals()
    const rulersBefore = this.#rulers
    this.#rulers = this.#measure()
    const elapsedNs = Math.max(1, after.atNs - before.atNs)
    const share = (from: number | undefined, to: number | undefined) =>
      from === undefined || to === undefined ? undefined : rounded((to - from) / elapsedNs)
    const { cpu, io, memory } = before.waitedNs
    const values = {
      cpuPressure: share(cpu, after.waitedNs.cpu),
      ioPressure: share(io, after.waitedNs.io),
      memoryPressure: share(memory, after.waitedNs.memory),
      stolen:
        before.ticks && after.ticks
          ? rounded(
              (after.ticks.stolen - before.ticks.stolen) / Math.max(1, after.ticks.all - before.ticks.all),
            )
          : undefined,
      throttled: share(before.throttledNs, after.throttledNs),
    }
    // What the rulers themselves cost belongs to no block.
    this.#before = this.#totals()
    return {
      cpuRulerNs: Math.max(rulersBefore.cpuNs, this.#rulers.cpuNs),
      fsyncRulerNs: Math.max(rulersBefore.fsyncNs, this.#rulers.fsyncNs),
      ...(Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<
        Record<keyof typeof values, number>
      >),
    }
  }

  #measure() {
    return { cpuNs: rule(), fsyncNs: probeFsync(this.#folder, fsyncProbes) }
  }

  #totals(): Totals {
    const waited = (resource: string) => {
      const total = /^some .*total=(\d+)/m.exec(this.#read(`/proc/pressure/${resource}`) ?? '')?.[1]
      return total === undefined ? undefined : Number(total) * 1e3
    }
    return {
      atNs: systemClock.monotonicNs(),
      waitedNs: { cpu: waited('cpu'), io: waited('io'), memory: waited('memory') },
      ticks: ticksOf(this.#read('/proc/stat')),
      throttledNs: this.#throttledNs(),
    }
  }

  #throttledNs(): number | undefined {
    const own = /^0::(.*)$/m.exec(this.#read('/proc/self/cgroup') ?? '')?.[1] ?? '/'
    for (const path of [`${own.replace(/\/$/, '')}/cpu.stat`, '/cpu.stat', '/cpu/cpu.stat']) {
      const text = this.#read(`/sys/fs/cgroup${path}`)
      const [, micros] = /^throttled_usec (\d+)$/m.exec(text ?? '') ?? []
      if (micros !== undefined) return Number(micros) * 1e3
      // The first version of control groups.
      const [, nanos] = /^throttled_time (\d+)$/m.exec(text ?? '') ?? []
      if (nanos !== undefined) return Number(nanos)
    }
    return undefined
  }
}

function kernelFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Another system, or a container that hides it: what is missing is named in the report.
    return undefined
  }
}

/** `cpu  user nice system idle iowait irq softirq steal …`. */
function ticksOf(text: string | undefined): Totals['ticks'] {
  const line = /^cpu +([\d ]+)$/m.exec(text ?? '')?.[1]
  if (line === undefined) return undefined
  const ticks = line.split(' ').map(Number).slice(0, 8)
  if (ticks.length < 8) return undefined
  return { stolen: ticks[7]!, all: ticks.reduce((sum, count) => sum + count, 0) }
}

/** How long the fixed piece of work takes, ns. */
function rule(): number {
  const startNs = systemClock.monotonicNs()
  let state = 1
  for (let step = 0; step < rulerSteps; step++) state = (Math.imul(state, 1664525) + 1013904223) | 0
  sink = state
  return Math.round(systemClock.monotonicNs() - startNs)
}

/** Read by nobody; without it the loop could be left out. */
export let sink = 0

function rounded(share: number): number {
  return Math.round(Math.max(0, share) * 1e4) / 1e4
}
