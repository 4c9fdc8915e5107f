/**
 * What of the machine can make times worse, read from the files in which Linux says it. Reading them changes nothing and
 * takes a few milliseconds. Elsewhere most of them are not there, and that is said once.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatBytes, formatDuration } from '../../core/units.ts'
import type { Finding } from './finding.ts'

/** The system to look at. Tests give a folder with files of their own for a root. */
export interface System {
  /** `/`. */
  readonly root: string
  readonly cpus: number
  readonly memoryBytes: number
  readonly node: string
}

type Check = (system: System) => Finding

export const checks: readonly Check[] = [
  checkNode,
  checkGovernor,
  checkTurbo,
  checkLoad,
  checkPressure,
  checkSteal,
  checkSwap,
  checkProcessorLimit,
  checkMemoryLimit,
]

/** What a store's disk is like, as measured in the folder where stores are made. */
export interface Disk {
  readonly folder: string
  readonly fileSystem: string
  readonly fsyncProbeNs: number
}

const fine = (check: string, found: string): Finding => ({ check, state: 'fine', found })
const unseen = (check: string, found: string): Finding => ({ check, state: 'unseen', found })

function read({ root }: System, path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8').trim()
  } catch {
    // Not every system has it; the check says so.
    return undefined
  }
}

function list({ root }: System, folder: string): readonly string[] {
  try {
    return readdirSync(join(root, folder)).sort()
  } catch {
    // As above.
    return []
  }
}

function checkNode({ node }: System): Finding {
  const major = Number(/^v?(\d+)/.exec(node)?.[1])
  // Odd ones are for trying out, and are gone after half a year.
  if (major % 2 === 0) return fine('node', node)
  return {
    check: 'node',
    state: 'costs',
    found: node,
    cost: 'odd versions of Node.js are short-lived, so results soon have nothing to be compared with',
    command: 'nvm install --lts',
  }
}

const processors = 'sys/devices/system/cpu'

function checkGovernor(system: System): Finding {
  const paths = list(system, processors)
    .filter((name) => /^cpu\d+$/.test(name))
    .map((name) => `${processors}/${name}/cpufreq/scaling_governor`)
    .filter((path) => read(system, path) !== undefined)
  if (paths.length === 0) return unseen('governor', 'the host decides on the clock of its processors')
  const others = paths.filter((path) => read(system, path) !== 'performance')
  if (others.length === 0) return fine('governor', 'performance')
  return {
    check: 'governor',
    state: 'costs',
    found: `${read(system, others[0]!)} on ${others.length} of ${paths.length} processors`,
    cost: 'the clock follows the load, so the first batches after a pause are slower than the others',
    command: 'sudo cpupower frequency-set --governor performance',
    settings: others.map((path) => ({ path, value: 'performance' })),
  }
}

function checkTurbo(system: System): Finding {
  const intel = `${processors}/intel_pstate/no_turbo`
  const boost = `${processors}/cpufreq/boost`
  const [path, off] = read(system, intel) === undefined ? [boost, '0'] : [intel, '1']
  const value = read(system, path)
  if (value === undefined) return unseen('turbo', 'the host decides on it')
  if (value === off) return fine('turbo', 'off')
  return {
    check: 'turbo',
    state: 'costs',
    found: 'on',
    cost: 'the clock depends on temperature and on what the other processors do, so times drift over a run',
    command: `echo ${off} | sudo tee /${path}`,
    settings: [{ path, value: off }],
  }
}

function checkLoad(system: System): Finding {
  const load = Number(read(system, 'proc/loadavg')?.split(' ')[0] ?? Number.NaN)
  if (Number.isNaN(load)) return unseen('load', 'no load average')
  const found = `${load} on ${system.cpus} processors`
  // Our own coordinator and a worker need two of them; with less left, they wait for others.
  if (load < 0.25 * system.cpus) return fine('load', found)
  return {
    check: 'load',
    state: 'costs',
    found,
    cost: 'other programs run at the same time: intervals become wider, and gates need more pairs',
    command: 'ps -eo pcpu,pid,args --sort=-pcpu | head',
  }
}

/** Shares of the last minute above which somebody waited noticeably. */
const pressureMax: Readonly<Record<string, number>> = { cpu: 5, io: 5, memory: 1 }

function checkPressure(system: System): Finding {
  const shares = Object.keys(pressureMax).flatMap((resource) => {
    const share = /some .*avg60=([\d.]+)/.exec(read(system, `proc/pressure/${resource}`) ?? '')?.[1]
    return share === undefined ? [] : [[resource, Number(share)] as const]
  })
  if (shares.length === 0) return unseen('pressure', 'this kernel does not account for it')
  const found = shares.map(([resource, share]) => `${resource} ${share} %`).join(', ')
  if (shares.every(([resource, share]) => share <= pressureMax[resource]!)) return fine('pressure', found)
  return {
    check: 'pressure',
    state: 'costs',
    found: `${found} of the last minute`,
    cost: 'programs waited for a resource that others were using; the same will happen to what is measured',
    command: 'cat /proc/pressure/*',
  }
}

function checkSteal(system: System): Finding {
  const times = /^cpu +(.*)$/m
    .exec(read(system, 'proc/stat') ?? '')?.[1]
    ?.split(' ')
    .map(Number)
  if (times === undefined) return unseen('steal', 'not accounted for')
  // user nice system idle iowait irq softirq steal; the guest times after it are part of the first two.
  const all = times.slice(0, 8).reduce((sum, time) => sum + time, 0)
  const share = (times[7] ?? 0) / Math.max(1, all)
  const found = `${(share * 100).toFixed(2)} % since the start of the system`
  if (share < 0.01) return fine('steal', found)
  return {
    check: 'steal',
    state: 'costs',
    found,
    cost: 'the host gives the processors to other machines in between; only another machine helps',
  }
}

function checkSwap(system: System): Finding {
  const table = read(system, 'proc/swaps')
  if (table === undefined) return unseen('swap', 'not visible')
  const used = table
    .split('\n')
    .slice(1)
    .reduce((sum, line) => sum + Number(line.split(/\s+/)[3] ?? 0) * 1024, 0)
  if (used === 0) return fine('swap', 'none in use')
  return {
    check: 'swap',
    state: 'costs',
    found: `${formatBytes(used)} in use`,
    cost: 'memory that was written out has to be read back, at any moment',
    command: 'sudo swapoff -a && sudo swapon -a',
  }
}

/** Of the control group that we are in: version 2, then version 1. */
function limitOf(
  system: System,
  names: readonly [v2: string, v1: string, controller: string],
): string | undefined {
  const [v2, v1, controller] = names
  const groups = (read(system, 'proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'))
  const path = (wanted: string) => groups.find(([, name]) => name === wanted)?.[2] ?? '/'
  const places = [
    // In a container, its own group is mounted as the root.
    `sys/fs/cgroup${path('')}/${v2}`,
    `sys/fs/cgroup/${v2}`,
    `sys/fs/cgroup/${controller}${path(controller)}/${v1}`,
    `sys/fs/cgroup/${controller}/${v1}`,
  ]
  return places.map((place) => read(system, place)).find((value) => value !== undefined)
}

function checkProcessorLimit(system: System): Finding {
  const limit = limitOf(system, ['cpu.max', 'cpu.cfs_quota_us', 'cpu'])
  const [quota, period = limitOf(system, ['cpu.max', 'cpu.cfs_period_us', 'cpu'])] = limit?.split(' ') ?? []
  if (quota === undefined || quota === 'max' || quota === '-1') return fine('processor limit', 'none')
  const processorsAllowed = Number(quota) / Number(period)
  return {
    check: 'processor limit',
    state: 'costs',
    found: `${processorsAllowed.toFixed(2)} of ${system.cpus} processors`,
    cost: 'whoever has used up their share of a period stands still until the next one, for up to 100 ms',
    command: `docker run --cpuset-cpus 0-${Math.max(1, Math.floor(processorsAllowed)) - 1} instead of --cpus`,
  }
}

/** What a run needs at the least: coordinator, workers of a few contenders, a database server. */
const memoryMin = 2 * 1024 ** 3

function checkMemoryLimit(system: System): Finding {
  const limit = limitOf(system, ['memory.max', 'memory.limit_in_bytes', 'memory'])
  const given = limit === undefined || limit === 'max' ? Number.POSITIVE_INFINITY : Number(limit)
  const bytes = Math.min(given, system.memoryBytes)
  const found = given < system.memoryBytes ? `${formatBytes(bytes)} for this group` : formatBytes(bytes)
  if (bytes >= memoryMin) return fine('memory', found)
  return {
    check: 'memory',
    state: 'costs',
    found,
    cost: 'contenders that do not fit side by side are measured one after the other, which is less exact',
    command: 'shootout run --storage …, with fewer contenders',
  }
}

/** Below this, nothing reached a medium that keeps it: the quickest of them take some 10 µs. */
const fsyncMinNs = 8_000
/** Above this, the disk is what is measured, whatever the storage does. */
const fsyncMaxNs = 10e6

export function checkDisk({ folder, fileSystem, fsyncProbeNs }: Disk): Finding {
  const found = `${formatDuration(fsyncProbeNs)} on ${fileSystem}, ${folder}`
  if (fileSystem === 'tmpfs') {
    return {
      check: 'sync',
      state: 'costs',
      found,
      cost: 'stores are made in memory there: syncs are free, so durable storages look as fast as others',
      command: 'shootout run --folder <folder on the disk to be measured>',
    }
  }
  if (fsyncProbeNs >= fsyncMinNs && fsyncProbeNs <= fsyncMaxNs) return fine('sync', found)
  return {
    check: 'sync',
    state: 'costs',
    found,
    cost:
      fsyncProbeNs < fsyncMinNs
        ? 'no disk is that quick: something acknowledges before the data are safe'
        : 'commits wait for the disk so long that differences of storages disappear behind it',
    command: 'shootout run --folder <folder on another disk>',
  }
}
