package io.llamafu.examples;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicLong;

import static org.assertj.core.api.Assertions.assertThat;

class ProgressTest {
    private final ByteArrayOutputStream shown = new ByteArrayOutputStream();
    private final AtomicLong nanos = new AtomicLong();

    @Test
    void terminalHasOneLineThatIsWrittenOver() {
        Progress progress = progress(true);
        after(1, () -> progress.show(0));
        after(1, () -> progress.show(50));
        after(2, () -> progress.end(200));
        assertThat(shown())
                .isEqualTo("\r0 of 200 records, 0/s, starting\u001b[K"
                        + "\r50 of 200 records, 25/s, 6 s left\u001b[K"
                        + "\r200 of 200 records, 50/s, 0 s left\u001b[K\n");
    }

    @Test
    void elsewhereThereIsALineEveryFiveSeconds() {
        Progress progress = progress(false);
        after(4, () -> progress.show(40));
        after(1, () -> progress.show(50));
        after(4, () -> progress.show(90));
        after(1, () -> progress.end(100));
        assertThat(shown()).isEqualTo("50 of 200 records, 10/s, 15 s left\n100 of 200 records, 10/s, 10 s left\n");
    }

    private Progress progress(boolean terminal) {
        return new Progress(200, terminal, new PrintStream(shown, true, StandardCharsets.UTF_8), nanos::get);
    }

    private void after(long seconds, Runnable action) {
        nanos.addAndGet(seconds * 1_000_000_000L);
        action.run();
    }

    private String shown() {
        return shown.toString(StandardCharsets.UTF_8).replace(System.lineSeparator(), "\n");
    }
}
