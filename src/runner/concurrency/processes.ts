/**
 * The workforce: child processes over IPC. One process carries the kinds `async` and `threads`; kind `processes` has
 * one per worker, which meet at a barrier held here.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../core/clock.ts'
import { fromPlainError, ShootoutError } from '../../core/errors.ts'
import { siblingModule } from '../../core/load-module.ts'
import { formatDuration } from '../../core/units.ts'
import type { Assignment, FromIsolate, Step, StepName, ToIsolate } from '../assignment.ts'
import { BarrierHub } from './barrier.ts'
import { isolateCount, type StepResult, type Workforce } from './concurrency.ts'
import type { ToProcess } from './process-entry.ts'

/** A message reaches another process in some 30 µs; two busy cores with many processes need much more. */
const leadNs = 1_000_000
const leadPerProcessNs = 150_000

/** How much of a dying process's standard error goes into the reason. */
const lastWordsLimit = 2000

/** How long a process may take to end after its report. */
const closeLimitMs = 10_000

interface Pending {
  readonly name: StepName
  readonly results: StepResult[]
  readonly expected: number
  readonly resolve: (results: readonly StepResult[]) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

export class ChildProcesses implements Workforce {
  readonly #assignment: Assignment
  readonly #stepLimitNs: number
  readonly #children: Child[] = []
  readonly #hub: BarrierHub
  #pending: Pending | undefined
  #failure: ShootoutError | undefined
  #reported = false

  /** @param stepLimitNs a step that takes longer is taken for a hang */
  constructor(assignment: Assignment, stepLimitNs: number) {
    this.#assignment = assignment
    this.#stepLimitNs = stepLimitNs
    const { workers } = assignment.parameters
    this.#hub = new BarrierHub(workers, leadNs + leadPerProcessNs * workers, systemClock, (release) =>
      this.#broadcast({ type: 'release', release }),
    )
  }

  async start(): Promise<void> {
    const { kind, parameters } = this.#assignment
    const seats = Array.from({ length: parameters.workers }, (_, seat) => seat)
    const processes = kind === 'processes' ? seats.map((seat) => [seat]) : [seats]
    const started = this.#expect('start', isolateCount(this.#assignment))
    for (const own of processes) {
      const child = new Child(
        (message) => this.#onMessage(message),
        (how) => this.#onDeath(own, how),
      )
      this.#children.push(child)
      child.send({ type: 'start', assignment: this.#assignment, seats: own })
    }
    await started
  }

  step(step: Step): Promise<readonly StepResult[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const alone = step.name === 'populate'
    const done = this.#expect(step.name, alone ? 1 : isolateCount(this.#assignment))
    if (alone) this.#children[0]!.send({ type: 'step', step })
    else this.#broadcast({ type: 'step', step })
    if (step.name === 'report') {
      return done.then((results) => {
        this.#reported = true
        return results
      })
    }
    return done
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end(this.#reported ? closeLimitMs : 0)))
  }

  #expect(name: StepName, expected: number): Promise<readonly StepResult[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const limit = formatDuration(this.#stepLimitNs)
        this.#fail(
          new ShootoutError(
            'worker-hung',
            `no answer from a worker within ${limit} in step ${name}; raise --timeout if it is only slow`,
          ),
        )
      }, this.#stepLimitNs / 1e6)
      this.#pending = { name, expected, results: [], resolve, reject, timer }
    })
  }

  #onMessage(message: FromIsolate): void {
    if (message.type === 'arrive') {
      try {
        this.#hub.arrive(message.section)
      } catch (error) {
        this.#fail(error as ShootoutError)
      }
    } else if (message.type === 'failed') {
      this.#fail(fromPlainError(message.error))
    } else if (message.type === 'done' || message.type === 'ready') {
      const pending = this.#pending
      if (pending === undefined) return
      pending.results.push(message.type === 'done' ? message : {})
      if (pending.results.length < pending.expected) return
      this.#pending = undefined
      clearTimeout(pending.timer)
      pending.resolve(pending.results)
    }
  }

  #onDeath(seats: readonly number[], how: string): void {
    if (this.#reported) return
    const who = seats.length === 1 ? `worker ${seats[0]}` : `the process of all ${seats.length} workers`
    this.#fail(new ShootoutError('worker-died', `${who} ended before its report: ${how}`))
  }

  /** The first failure ends the fork: its siblings wait at a barrier that will never open. */
  #fail(error: ShootoutError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    for (const child of this.#children) child.kill()
    const pending = this.#pending
    if (pending === undefined) return
    this.#pending = undefined
    clearTimeout(pending.timer)
    pending.reject(error)
  }

  #broadcast(message: ToIsolate): void {
    for (const child of this.#children) child.send(message)
  }
}

/** One child process. */
class Child {
  readonly #process: ChildProcess
  readonly #ended: Promise<void>
  #lastWords = ''
  #hasClosed = false

  constructor(onMessage: (message: FromIsolate) => void, onDeath: (how: string) => void) {
    this.#process = fork(fileURLToPath(siblingModule(import.meta.url, './process-entry')), {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-lastWordsLimit)
    })
    this.#process.on('message', (message: FromIsolate) => {
      // Its part is done: it may end while its siblings are still at work.
      if (message.type === 'closed') this.#hasClosed = true
      else onMessage(message)
    })
    this.#ended = new Promise((resolve) => {
      this.#process.once('error', (error) => {
        onDeath(error.message)
        resolve()
      })
      // `close` comes after `exit`, when standard error has been read to its end.
      this.#process.once('close', (code, signal) => {
        const words = this.#lastWords.trim()
        if (!this.#hasClosed)
          onDeath(`${signal ?? `exit code ${code}`}${words === '' ? '' : `; it said: ${words}`}`)
        resolve()
      })
    })
  }

  send(message: ToProcess): void {
    // A child that is gone is noticed by its `close`; the failed send tells nothing more.
    if (this.#process.connected) this.#process.send(message, () => {})
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  async end(limitMs: number): Promise<void> {
    const timer = setTimeout(() => this.kill(), limitMs)
    await this.#ended
    clearTimeout(timer)
  }
}
