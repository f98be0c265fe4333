package io.llamafu.flink.label;

import java.io.PrintStream;
import java.time.Duration;
import java.util.Locale;
import java.util.function.LongSupplier;

/** Says how far a run is: on a terminal in one line with a bar, elsewhere in a line every ten seconds. For one thread. */
final class Progress {
    private static final int BAR_WIDTH = 24;
    private static final long LINE_NANOS = Duration.ofSeconds(10).toNanos();

    private final PrintStream out;
    private final boolean terminal;
    private final LongSupplier nanoTime;
    private long begun;
    private long lastLine;
    private boolean open;

    Progress(PrintStream out, boolean terminal, LongSupplier nanoTime) {
        this.out = out;
        this.terminal = terminal;
        this.nanoTime = nanoTime;
    }

    /** How far a run is. */
    record Figures(long rows, long ofRows, long asked, long tokens, long errors) {}

    void begin() {
        begun = nanoTime.getAsLong();
        lastLine = begun;
    }

    void show(Figures figures) {
        long now = nanoTime.getAsLong();
        if (terminal) {
            out.print("\r" + bar(figures) + " " + line(figures, now) + "\u001b[K");
            out.flush();
            open = true;
        } else if (now - lastLine >= LINE_NANOS) {
            lastLine = now;
            out.println(line(figures, now));
        }
    }

    /** Shows the last figures. */
    void end(Figures figures) {
        if (terminal) {
            show(figures);
            say("");
        } else {
            out.println(line(figures, nanoTime.getAsLong()));
        }
    }

    /** A line of its own. */
    void say(String message) {
        if (open) {
            out.println();
            open = false;
        }
        if (!message.isEmpty()) {
            out.println(message);
        }
    }

    private static String bar(Figures figures) {
        int filled = figures.ofRows() == 0 ? BAR_WIDTH : (int) (BAR_WIDTH * figures.rows() / figures.ofRows());
        return "[" + "#".repeat(filled) + " ".repeat(BAR_WIDTH - filled) + "]";
    }

    private String line(Figures figures, long now) {
        double seconds = Math.max(1e-3, (now - begun) / 1e9);
        double rate = figures.rows() / seconds;
        String left = figures.rows() == 0 || figures.rows() >= figures.ofRows()
                ? ""
                : ", " + time((figures.ofRows() - figures.rows()) / rate) + " left";
        return String.format(
                Locale.ROOT,
                "%d of %d rows, %.1f rows/s, %.0f tokens/s, %d errors%s",
                figures.rows(),
                figures.ofRows(),
                rate,
                figures.tokens() / seconds,
                figures.errors(),
                left);
    }

    /** Such as 1 h 05 min. */
    static String time(double seconds) {
        long whole = Math.round(seconds);
        if (whole < 60) {
            return whole + " s";
        }
        return whole < 3600
                ? String.format(Locale.ROOT, "%d min %02d s", whole / 60, whole % 60)
                : String.format(Locale.ROOT, "%d h %02d min", whole / 3600, whole % 3600 / 60);
    }
}
