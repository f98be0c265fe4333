package io.llamafu.flink.artifact;

import io.llamafu.testing.Await;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

@Timeout(120)
@SuppressWarnings("try") // it is enough that a lock is held
class CacheLockTest {
    private static final Duration LONG = Duration.ofMinutes(1);

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

    @Test
    void oneFileHasOneLockByWhateverPath() throws Exception {
        Path real = Files.createDirectory(folder.resolve("real"));
        Path link = Files.createSymbolicLink(folder.resolve("link"), real);
        try (CacheLock lock = CacheLock.tryAcquire(real.resolve("lock")).orElseThrow()) {
            assertThat(CacheLock.tryAcquire(link.resolve("lock"))).isEmpty();
            try (OtherProcess other = OtherProcess.locking(real.resolve("lock"))) {
                assertThat(other.says()).as("after the other path was tried").isEqualTo("busy");
            }
        }
        try (CacheLock lock = CacheLock.tryAcquire(link.resolve("lock")).orElseThrow()) {
            assertThat(CacheLock.tryAcquire(real.resolve("lock"))).isEmpty();
        }
    }

    @Test
    void lockOfARemovedFileIsSeenByNobody() throws Exception {
        Path file = folder.resolve("lock");
        assertThat(CacheLock.tryAcquireExisting(file)).as("no file, no lock").isEmpty();
        assertThat(file).doesNotExist();
        try (CacheLock lock = CacheLock.tryAcquire(file).orElseThrow()) {
            assertThat(lock.isInPlace()).isTrue();
            Files.delete(file);
            assertThat(lock.isInPlace()).isFalse();
            try (CacheLock next = CacheLock.tryAcquire(file).orElseThrow()) {
                assertThat(next.isInPlace()).isTrue();
                assertThat(lock.isInPlace()).isFalse();
            }
        }
    }

    @Test
    void touchMakesTheFileYoungAndKeepsTheLock() throws Exception {
        Path file = folder.resolve("lock");
        try (CacheLock lock = CacheLock.tryAcquire(file).orElseThrow()) {
            FileTime before = Files.getLastModifiedTime(file);
            Await.until("another time", () -> {
                lock.touch();
                return Files.getLastModifiedTime(file).compareTo(before) > 0;
            });
            try (OtherProcess other = OtherProcess.locking(file)) {
                assertThat(other.says()).isEqualTo("busy");
            }
        }
    }

    @Test
    void waitLastsAsLongAsTheHolderMakesProgress() throws Exception {
        Path file = folder.resolve("lock");
        AtomicLong progress = new AtomicLong();
        try (CacheLock lock = CacheLock.tryAcquire(file).orElseThrow()) {
            assertThat(CacheLock.acquire(
                            file, Duration.ofMillis(1), () -> progress.updateAndGet(value -> Math.min(20, value + 1))))
                    .isEmpty();
        }
        assertThat(progress).as("until there was no more").hasValue(20);
    }
}
