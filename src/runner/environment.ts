/** What can move a number: machine, software, disk. Read once, before anything is measured. */

import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../core/clock.ts'
import { packageVersion } from '../core/version.ts'
import type { EnvironmentRecord } from '../results/schema.ts'

const fsyncProbes = 25
const timerProbes = 5_000
const timerRounds = 9

/** Reads it when it is called. */
export type EnvironmentReader = () => EnvironmentRecord

/** @param folder where stores are made; probed with a small file of ours */
export function readEnvironment(folder: string): EnvironmentRecord {
  const commit = gitCommit()
  return {
    shootout: packageVersion(),
    node: process.version,
    v8: process.versions.v8,
    platform: `${process.platform} ${process.arch}`,
    kernel: release(),
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown',
    cpus: cpus().length,
    memoryBytes: totalmem(),
    load: Math.round(loadavg()[0]! * 100) / 100,
    folder,
    fileSystem: fileSystemOf(folder),
    fsyncProbeNs: probeFsync(folder),
    timerCostNs: probeTimer(),
    ...(commit === undefined ? {} : { gitCommit: commit }),
  }
}

/** Magic numbers of statfs(2). */
const fileSystems: ReadonlyMap<number, string> = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlayfs'],
  [0x2fc12fc1, 'zfs'],
  [0x6969, 'nfs'],
  [0x65735546, 'fuse'],
])

function fileSystemOf(folder: string): string {
  const { type } = statfsSync(folder)
  return fileSystems.get(type) ?? `0x${type.toString(16)}`
}

/** Median of appends of 400 bytes, each followed by fdatasync, ns. */
export function probeFsync(folder: string, probes = fsyncProbes): number {
  const path = join(folder, 'fsync-probe')
  const file = openSync(path, 'a')
  try {
    const record = Buffer.alloc(400, 'x')
    const times = Array.from({ length: probes }, () => {
      const startNs = systemClock.monotonicNs()
      writeSync(file, record)
      fdatasyncSync(file)
      return systemClock.monotonicNs() - startNs
    })
    return median(times)
  } finally {
    closeSync(file)
    rmSync(path)
  }
}

/** The median over several rounds: the first ones run code that is not compiled yet, others are interrupted. */
function probeTimer(): number {
  const rounds = Array.from({ length: timerRounds }, () => {
    const startNs = systemClock.monotonicNs()
    for (let probe = 0; probe < timerProbes; probe++) systemClock.monotonicNs()
    return (systemClock.monotonicNs() - startNs) / timerProbes
  })
  return median(rounds)
}

function median(values: number[]): number {
  return Math.round(values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!)
}

function gitCommit(): string | undefined {
  const git = (...args: string[]) =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    const commit = git('rev-parse', '--short=12', 'HEAD')
    return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}+`
  } catch {
    // Not a checkout, or no git: the field is left out.
    return undefined
  }
}
