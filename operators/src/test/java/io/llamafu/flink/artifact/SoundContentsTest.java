package io.llamafu.flink.artifact;

import io.llamafu.adapter.Sha256;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class SoundContentsTest {
    private static final int BYTES = 3 << 20;

    @TempDir
    private Path folder;

    private final SoundContents contents = new SoundContents();
    private final AtomicInteger parts = new AtomicInteger();

    private boolean isSound(Path file, String digest) throws Exception {
        return contents.isSound(file, digest, parts::incrementAndGet);
    }

    @Test
    void contentIsReadOnceUntilItChanges() throws Exception {
        byte[] bytes = new byte[BYTES];
        Path file = Files.write(folder.resolve("content"), bytes);
        String digest = Sha256.of(file);

        assertThat(isSound(file, digest)).isTrue();
        int once = parts.get();
        assertThat(once).isPositive();
        assertThat(isSound(file, digest)).isTrue();
        assertThat(parts).hasValue(once);

        Files.setLastModifiedTime(file, FileTime.fromMillis(1));
        assertThat(isSound(file, digest)).isTrue();
        assertThat(parts).hasValue(2 * once);
        bytes[BYTES / 2] = 1;
        Files.write(file, bytes);
        assertThat(isSound(file, digest)).isFalse();
        assertThat(isSound(file, digest)).as("not believed later either").isFalse();
    }

    @Test
    void interruptEndsTheReading() throws Exception {
        Path file = Files.write(folder.resolve("content"), new byte[BYTES]);
        Thread.currentThread().interrupt();

        assertThatThrownBy(() -> isSound(file, "digest")).isInstanceOf(InterruptedIOException.class);
        assertThat(Thread.interrupted()).isTrue();
    }
}
