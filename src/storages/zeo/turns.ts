/**
 * Operations one at a time, in order, synchronously where they can be: what is idle starts at once, and only what has
 * to wait costs a promise. Operations handle their own errors.
 */

export class Turns {
  #isBusy = false
  readonly #waiting: (() => void | Promise<void>)[] = []

  get waiting(): number {
    return this.#waiting.length
  }

  run(operation: () => void | Promise<void>): void {
    if (this.#isBusy) {
      this.#waiting.push(operation)
      return
    }
    const running = operation()
    if (running === undefined) return
    this.#isBusy = true
    void this.#continue(running)
  }

  async #continue(running: Promise<void>): Promise<void> {
    await running
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) await next()
    this.#isBusy = false
  }
}
