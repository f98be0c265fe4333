package io.llamafu.examples;

import java.io.PrintStream;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * Reports the progress of a job: on a terminal in one line that is overwritten, elsewhere in a line every few seconds.
 */
final class Progress {
    private static final long NANOS_PER_SECOND = 1_000_000_000L;
    private static final long LINE_INTERVAL_NANOS = 5 * NANOS_PER_SECOND;

    private final long total;
    private final boolean terminal;
    private final PrintStream out;
    private final LongSupplier nanoClock;
    private final long start;
    private long lastShown;
    private boolean lineOpen;

    /** On standard error, because the result goes to standard output. {@code examples/run} detects a terminal. */
    static Progress onStandardError(long total) {
        return new Progress(total, Boolean.getBoolean("llamafu.terminal"), System.err, System::nanoTime);
    }

    Progress(long total, boolean terminal, PrintStream out, LongSupplier nanoClock) {
        this.total = total;
        this.terminal = terminal;
        this.out = out;
        this.nanoClock = nanoClock;
        this.start = nanoClock.getAsLong();
        this.lastShown = start;
    }

    void show(long done) {
        long now = nanoClock.getAsLong();
        if (terminal) {
            out.print("\r" + line(done, now) + "\u001b[K");
            out.flush();
            lineOpen = true;
        } else if (now - lastShown >= LINE_INTERVAL_NANOS) {
            lastShown = now;
            out.println(line(done, now));
        }
    }

    /** Shows the final figures. */
    void end(long done) {
        if (terminal) {
            show(done);
            out.println();
            lineOpen = false;
        } else {
            out.println(line(done, nanoClock.getAsLong()));
        }
    }

    /** Ends the line, so that the next message starts a new one. */
    void abort() {
        if (lineOpen) {
            out.println();
        }
    }

    private String line(long done, long now) {
        double seconds = (now - start) / (double) NANOS_PER_SECOND;
        double rate = seconds > 0 ? done / seconds : 0;
        String left = rate > 0 ? "%.0f s left".formatted((total - done) / rate) : "starting";
        return String.format(Locale.ROOT, "%d of %d records, %.0f/s, %s", done, total, rate, left);
    }
}
