/** The selftest's result for a terminal, and as a badge. */

import {
  type Certificate,
  type CertificateVerdict,
  type Conditions,
  type ConductTrial,
  type CountedTrial,
  foundShareMin,
  type Power,
  type Rate,
} from '../analysis/gate/certificate.ts'
import { counted, formatBytes, formatDuration, formatWait } from '../core/units.ts'
import { counterText, metricNames } from './gate-phrases.ts'
import { percentText } from './phrases.ts'
import type { RenderOptions } from './renderer.ts'
import { painter, wrap } from './terminal.ts'

const meanings: Readonly<Record<CertificateVerdict, string>> = {
  kept: 'On this machine the gate did what it promises.',
  undecided:
    'Nothing contradicts what the gate promises, but these gates do not show it: they could not always tell, or were too few.',
  missed: 'The gate passed more slowdowns than it promises to.',
  broken:
    'The gate found what was not there, passed what it must not, or counted wrong. Please report this certificate.',
}

const colors: Readonly<Record<CertificateVerdict, 'green' | 'yellow' | 'red'>> = {
  kept: 'green',
  undecided: 'yellow',
  missed: 'red',
  broken: 'red',
}

export function renderCertificate(certificate: Certificate, { width, color }: RenderOptions): string {
  const paint = painter(color)
  const { verdict, trials } = certificate
  // How much it is worth: a few gates show little, however they ended.
  const number = verdict === 'kept' ? `, in ${trials.length} gates` : ''
  const sections: readonly (readonly [string, readonly string[]])[] = [
    ['', [`${paint(colors[verdict], verdict.toUpperCase())}${number}: ${meanings[verdict]}`]],
    ['Where', whereLines(certificate)],
    ['Equal sides', equalLines(certificate)],
    ['More work, timed', powerLines(certificate)],
    ['More work, counted', certificate.counted.map(countedLine)],
    ['While the machine was disturbed', disturbedLines(certificate)],
    ['What must never pass, and being killed', certificate.conduct.map(conductLine)],
    ['Spread and time', certificate.conditions.map(conditionsLine)],
    ['What this shows', showsLines(certificate)],
  ]
  return sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => {
      const indent = title === '' ? 0 : 2
      const text = lines.map((line) => ' '.repeat(indent) + wrap(line, width - indent, indent + 2))
      return `${[...(title === '' ? [] : [paint('bold', title)]), ...text].join('\n')}\n`
    })
    .join('\n')
}

function whereLines({ environment, startedAt, elapsedNs, seed, again }: Certificate): readonly string[] {
  const { cpuModel, cpus, memoryBytes, platform, kernel, fileSystem, fsyncProbeNs, load } = environment
  const { shootout, node, gitCommit } = environment
  return [
    `${cpuModel}, ${cpus} processors, ${formatBytes(memoryBytes)}; ${platform}, ${kernel}; ${fileSystem}, fsync ${formatDuration(fsyncProbeNs)}`,
    `shootout ${shootout}${gitCommit === undefined ? '' : ` (${gitCommit})`}, Node.js ${node}; load ${load} at the start`,
    `${startedAt.slice(0, 16).replace('T', ' ')} UTC, ${formatWait(elapsedNs)}, seed ${seed}`,
    `again: ${again}`,
  ]
}

function equalLines({ falseAlarms }: Certificate): readonly string[] {
  const { gates, failed, undecided, rateMax, byStorage } = falseAlarms
  if (gates === 0) return ['not tried: the budget ended before']
  return [
    `${failed} of ${gates} gates failed: the true rate of false alarms is below ${percentText(rateMax)} (exact, 95 %)`,
    byStorage
      .map((rate) => `${rate.storage} ${rate.failed} of ${rate.gates}${undecidedText(rate)}`)
      .join('; '),
    ...(undecided === 0 ? [] : ['a gate that could not tell has not passed (exit code 3)']),
  ]
}

function undecidedText({ undecided }: Rate): string {
  return undecided === 0 ? '' : `, ${undecided} could not tell`
}

function powerLines({ power }: Certificate): readonly string[] {
  return power.map((rate) => {
    const { storage, extra, gates, failed, expected, measured, powerMin } = rate
    const seen =
      measured === undefined
        ? 'nothing measured'
        : `measured ${shareText(measured.median)} (${shareText(measured.min)} to ${shareText(measured.max)})`
    return `${storage}, ${percentText(extra)} more operations, worth ${shareText(expected)} of time: ${seen}; found by ${failed} of ${gates} gates${undecidedText(rate)}: true power above ${percentText(powerMin)}`
  })
}

/** `+4.9 %`. */
function shareText(share: number): string {
  return `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(1)} %`
}

function countedLine({ storage, scenario, extra, expected, changes, isRight }: CountedTrial): string {
  const observed = changes.length === 0 ? 'every counter equal' : changes.map(counterText).join('; ')
  const what = extra === 'nothing' ? 'nothing more' : `more ${extra}`
  return `${isRight ? '' : 'WRONG: '}${storage}, ${scenario}, ${what}: expected ${expected}; counted ${observed}`
}

function disturbedLines({ disturbed }: Certificate): readonly string[] {
  return disturbed.map((rate) => {
    const { storage, extra, gates, failed, undecided } = rate
    const passed = gates - failed - undecided
    return extra === 0
      ? `${storage}, equal sides: ${failed} of ${gates} gates failed (none should), ${passed} passed, ${undecided} could not tell`
      : `${storage}, ${percentText(extra)} more operations: ${passed} of ${gates} gates passed (none should), ${failed} failed, ${undecided} could not tell`
  })
}

function conductLine({ name, expected, observed, isRight }: ConductTrial): string {
  return `${isRight ? '' : 'WRONG: '}${name}: expected ${expected}; ${isRight ? 'so it was' : `was ${observed}`}`
}

function conditionsLine(conditions: Conditions): string {
  const { storage, scenario, objects, operations, metric, sigma, equalPairs } = conditions
  const { pairsPerGate, pairNs, gateNs, gateNsMax } = conditions
  const cell = `${storage}: ${scenario} of ${counted(objects, 'object')}, batches of ${operations}`
  if (metric === undefined) return `${cell}; no gate of it came to pairs`
  const spread =
    sigma === undefined
      ? ''
      : `; pairs of equal sides differ by ${percentText(sigma)} (σ of ${equalPairs}, ${metricNames[metric]})`
  return `${cell}${spread}; ${pairsPerGate} pairs per gate, ${formatDuration(pairNs)} a pair; a gate ${formatWait(gateNs)}, at most ${formatWait(gateNsMax)}`
}

function showsLines({ falseAlarms, policy, disturbed, untried }: Certificate): readonly string[] {
  return [
    `${falseAlarms.gates} gates of equal sides bound the rate of false alarms as said above, and no better; that it is below 1 % is shown by simulation (docs/statistics.md), and here it is only not contradicted.`,
    `It holds for these storages, scenarios and sizes on this machine at this time, for slowdowns of ${percentText(policy.delta)} and more. Below that, either answer is right.`,
    'More operations are real ones, done within the batch. Counting, calibration and the pilot are done once per storage and serve all its gates; apart from that each gate is one as a required check runs it.',
    ...(disturbed.length === 0
      ? []
      : [
          'The disturbance (a busy process per processor, and one that writes and syncs, in half of the blocks) counted in full: no block was set aside, as the gate otherwise does.',
        ]),
    ...untried.map((what) => `Not tried: ${what}.`),
  ]
}

/** Fill colours of the right half, dark enough for white letters. */
const fills = { green: '#2a7d2e', yellow: '#8a6100', red: '#b3261e' } as const

/** About the width of a letter of 11 px Verdana, the common font of badges. */
const letterWidth = 6.6

export function renderBadge({ falseAlarms, power, verdict }: Certificate): string {
  const right =
    verdict === 'kept'
      ? `${falseAlarms.failed}/${falseAlarms.gates} false, finds ${percentText(smallestFound(power), '')}`
      : verdict
  const left = 'gate selftest'
  const [a, b] = [left, right].map((text) => Math.round(text.length * letterWidth) + 12) as [number, number]
  const fill = fills[colors[verdict]]
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${a + b}" height="20" role="img" aria-label="${left}: ${right}">
<title>${left}: ${right}</title>
<rect width="${a}" height="20" rx="3" fill="#444"/>
<rect x="${a - 3}" width="${b + 3}" height="20" rx="3" fill="${fill}"/>
<rect x="${a - 3}" width="6" height="20" fill="${fill}"/>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="${a / 2 - 1}" y="14">${left}</text>
<text x="${a + b / 2}" y="14">${right}</text>
</g>
</svg>
`
}

/** The least slowdown that was found in every storage, as often as a proof asks for. */
function smallestFound(power: readonly Power[]): number {
  const storages = [...new Set(power.map(({ storage }) => storage))]
  const found = (storage: string) =>
    power
      .filter((rate) => rate.storage === storage && rate.failed >= foundShareMin * rate.gates)
      .map(({ extra }) => extra)
  return Math.max(...storages.map((storage) => Math.min(...found(storage), 1)))
}
