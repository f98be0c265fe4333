package io.llamafu.flink.artifact;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.InterruptedIOException;
import java.nio.file.Path;
import java.time.Duration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

@Timeout(60)
@SuppressWarnings("try") // it is enough that a lock is held
class CacheLockTest {
    private static final Duration LONG = Duration.ofSeconds(30);

    @TempDir
    private Path folder;

    @Test
    void oneHolderAtATime() throws Exception {
        Path file = folder.resolve("lock");
        try (CacheLock lock = CacheLock.tryAcquire(file).orElseThrow()) {
            assertThat(CacheLock.tryAcquire(file)).isEmpty();
            assertThat(CacheLock.acquire(file, Duration.ofMillis(50))).isEmpty();
            lock.close();
            try (CacheLock next = CacheLock.tryAcquire(file).orElseThrow()) {
                lock.close();
                assertThat(CacheLock.tryAcquire(file))
                        .as("a lock that was closed twice")
                        .isEmpty();
            }
        }
    }

    @Test
    void otherProcessesWaitEvenIfThisOneAskedTwice() throws Exception {
        Path file = folder.resolve("lock");
        try (CacheLock lock = CacheLock.tryAcquire(file).orElseThrow()) {
            assertThat(CacheLock.tryAcquire(file)).isEmpty();
            try (OtherProcess other = OtherProcess.locking(file)) {
                assertThat(other.says()).isEqualTo("busy");
            }
        }
    }

    @Test
    void endedProcessHoldsNothing() throws Exception {
        Path file = folder.resolve("lock");
        try (OtherProcess other = OtherProcess.locking(file)) {
            assertThat(other.says()).isEqualTo("held");
            assertThat(CacheLock.tryAcquire(file)).isEmpty();
            other.kill();
            assertThat(CacheLock.acquire(file, LONG)).isPresent();
        }
    }

    @Test
    void interruptEndsTheWait() throws Exception {
        Path file = folder.resolve("lock");
        try (CacheLock lock = CacheLock.tryAcquire(file).orElseThrow()) {
            Thread.currentThread().interrupt();
            assertThatThrownBy(() -> CacheLock.acquire(file, LONG)).isInstanceOf(InterruptedIOException.class);
            assertThat(Thread.interrupted()).as("still interrupted").isTrue();
        }
    }
}
