/** Loaded before a real process: its wall clock goes that much ahead. Timers and the monotonic clock stay as they are. */
const shiftMs = Number(process.env['SEALMESH_TEST_CLOCK_SHIFT_MS'])
const realNow = Date.now.bind(Date)
Date.now = () => realNow() + shiftMs
