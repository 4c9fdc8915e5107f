/** `shootout doctor`: what this machine does to measurements, and what there is to measure with. Changes nothing unless asked to. */

import { availableParallelism, tmpdir, totalmem } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { UsageError } from '../../core/errors.ts'
import { formatDuration } from '../../core/units.ts'
import { padEnd, painter, wrap } from '../../report/terminal.ts'
import { readEnvironment } from '../../runner/environment.ts'
import { openWorkspace } from '../../runner/workspace.ts'
import { storageNames } from '../../storages/registry.ts'
import { outputStyle } from '../console.ts'
import { provisionAll, resolveContenders } from '../contenders.ts'
import { exitCodes } from '../exit-codes.ts'
import { checkDisk, checks, type System } from './checks.ts'
import type { Finding } from './finding.ts'
import { type RulerReading, readRuler } from './ruler.ts'
import { applySettings, memoryFile, restoreSettings } from './settings.ts'

interface DoctorFlags {
  readonly folder: string
  readonly storages: boolean
  readonly apply?: boolean
  readonly restore?: boolean
  readonly json?: boolean
}

/** What is printed with --json. */
export interface DoctorReport {
  readonly format: 1
  readonly ruler: RulerReading
  /** After --apply: what it has brought. */
  readonly rulerAfter?: RulerReading
  readonly findings: readonly Finding[]
  readonly storages: readonly StorageFinding[]
}

export type StorageFinding =
  | {
      readonly storage: string
      readonly available: true
      /** Read back from the server where there is one. */
      readonly durability: string
      /** Versions, where it was found, settings read back. */
      readonly facts: Readonly<Record<string, string>>
    }
  | { readonly storage: string; readonly available: false; readonly reason: string }

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('look at what this machine does to measurements, and at what can be measured on it')
    .option('--folder <path>', 'where stores will be made: the disk to look at', tmpdir())
    .option('--no-storages', 'leave out drivers and servers, which are started to read their settings back')
    .option('--apply', 'change what can be changed (governor, turbo), and measure what it brings')
    .option('--restore', 'put back what --apply has changed')
    .option('--json', 'print JSON')
    .action(async (flags: DoctorFlags) => {
      process.exitCode = await doctor(flags)
    })
}

async function doctor(flags: DoctorFlags): Promise<number> {
  const system: System = {
    root: '/',
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    node: process.version,
  }
  if (flags.apply && flags.restore) throw new UsageError('bad-value', 'give --apply or --restore, not both')
  if (flags.restore) {
    const restored = restoreSettings(system.root, memoryFile())
    const lines = restored?.map(({ path, value }) => `/${path} is ${value} again`) ?? [
      'There is nothing to put back.',
    ]
    process.stdout.write(`${lines.join('\n')}\n`)
    return exitCodes.pass
  }
  const report = await examine(system, flags)
  if (flags.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  else process.stdout.write(renderDoctor(report, outputStyle()))
  return exitCodes.pass
}

async function examine(system: System, flags: DoctorFlags): Promise<DoctorReport> {
  const ruler = readRuler()
  const workspace = await openWorkspace(resolve(flags.folder), (message) =>
    process.stderr.write(`${message}\n`),
  )
  try {
    const { fileSystem, fsyncProbeNs } = readEnvironment(workspace.folder)
    const findings = [
      ...checks.map((check) => check(system)),
      checkDisk({ folder: resolve(flags.folder), fileSystem, fsyncProbeNs }),
    ]
    const settings = findings.flatMap((finding) => finding.settings ?? [])
    const isApplied = flags.apply === true && settings.length > 0
    if (isApplied) applySettings(system.root, settings, memoryFile())
    return {
      format: 1,
      ruler,
      ...(isApplied ? { rulerAfter: readRuler() } : {}),
      findings,
      storages: flags.storages ? await lookAtStorages(workspace) : [],
    }
  } finally {
    await workspace.remove()
  }
}

/** Exactly what a run would find: the same code looks. */
async function lookAtStorages(
  workspace: Parameters<typeof provisionAll>[1],
): Promise<readonly StorageFinding[]> {
  const contenders = await resolveContenders(storageNames.map((storage) => ({ storage })))
  const { planned, dispose } = await provisionAll(contenders, workspace, () => {})
  await dispose()
  // Where a store would have lain in our temporary folder is of no use to anybody.
  const lasting = (facts: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(facts).filter(([, value]) => !value.startsWith(workspace.folder)))
  return planned.map(({ record, unavailable }) =>
    unavailable === undefined
      ? {
          storage: record.storage,
          available: true,
          durability: record.durability,
          facts: lasting(record.facts),
        }
      : { storage: record.storage, available: false, reason: unavailable },
  )
}

export function renderDoctor(
  { ruler, rulerAfter, findings, storages }: DoctorReport,
  { width, color }: { readonly width: number; readonly color: boolean },
): string {
  const paint = painter(color)
  const nameWidth = Math.max(...findings.map(({ check }) => check.length))
  const indent = nameWidth + 9
  const item = (mark: string, name: string, text: string) =>
    `${mark}  ${padEnd(name, nameWidth)}  ${indented(text, width, indent)}`
  const costing = findings.filter(({ state }) => state === 'costs')
  const unseen = findings.filter(({ state }) => state === 'unseen')
  const command = (text: string) => `${' '.repeat(indent)}${paint('cyan', text)}`
  const lines = [
    ...findings
      .filter(({ state }) => state === 'fine')
      .map(({ check, found }) => item(paint('green', 'fine '), check, found)),
    ...costing.flatMap(({ check, found, cost, command: how }) => [
      item(paint('yellow', 'costs'), check, `${found}: ${cost}`),
      ...(how === undefined ? [] : [command(how)]),
    ]),
    ...(unseen.length === 0
      ? []
      : [
          item(
            '     ',
            unseen.map(({ check }) => check).join(', '),
            'not visible from here, as in most virtual machines and containers',
          ),
        ]),
  ]
  const spread = ({ spread: share, medianNs }: RulerReading) =>
    `${(share * 100).toFixed(1)} %: the fastest and the slowest tenth of 50 times the same computation (${formatDuration(medianNs)}) are so far apart`
  const canApply = findings.some(({ settings }) => settings !== undefined)
  const sections = [
    lines.join('\n'),
    wrap(`This machine differs from itself by ${spread(ruler)}.`, width) +
      (rulerAfter === undefined
        ? ''
        : `\n${wrap(`With the settings applied: ${spread(rulerAfter)}. --restore puts them back.`, width)}`),
    ...(canApply && rulerAfter === undefined
      ? ['--apply changes governor and turbo, and measures what that brings.']
      : []),
    storages.map((one) => storageText(one, width)).join('\n'),
  ]
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`
}

/** Text that begins at a column, and goes on below it. */
function indented(text: string, width: number, column: number): string {
  return wrap(text, width - column).replaceAll('\n', `\n${' '.repeat(column)}`)
}

function storageText(found: StorageFinding, width: number): string {
  const name = padEnd(found.storage, 10)
  if (!found.available) return `${name}${indented(`not available: ${found.reason}`, width, 10)}`
  const facts = Object.entries(found.facts).map(([fact, value]) => `${fact} ${value}`)
  return `${name}${indented([`durability ${found.durability}`, ...facts].join(', '), width, 10)}`
}
