/** What installing a service needs of a machine, so that tests can hand in another one. */
export interface Machine {
  /** Who asks; 0 is root. */
  readonly uid: number
  /** Of whoever asks: where the units of a user lie. */
  readonly configHome: string
  /** Whether systemd runs here now: in a container or a chroot it may be installed and run nothing. */
  readonly booted: boolean
  /** Undefined where there is no such file. */
  read(path: string): Promise<string | undefined>
  /** Readable for all, and whole or not there at all. */
  write(path: string, text: string): Promise<void>
  remove(path: string): Promise<void>
  /** Never throws: `status` is null where the command is not there or did not end. */
  run(command: string, args: readonly string[]): Outcome
}

export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}
