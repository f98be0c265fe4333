package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.Sha256;
import io.llamafu.engine.EngineOptions;
import io.llamafu.testing.Await;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.RandomAccessFile;
import java.nio.file.Path;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;

class ModelDigestTest {
    private static final String THREAD = "llamafu-model-digest";

    @TempDir
    Path folder;

    @Test
    void fileIsReadBesideTheCaller() throws Exception {
        try (ModelDigest digest = ModelDigest.start(TinyModel.options().build())) {
            assertThat(digest.await()).isEqualTo(Sha256.of(TinyModel.model()));
        }
    }

    /** The cache of remote files has verified it. */
    @Test
    void knownDigestIsNotComputedAgain() {
        String known = Sha256.of("a remote model");
        EngineOptions options = EngineOptions.builder(folder.resolve("missing.gguf"))
                .modelDigest(known)
                .build();
        try (ModelDigest digest = ModelDigest.start(options)) {
            assertThat(digest.await()).isEqualTo(known);
        }
    }

    @Test
    void malformedDigestIsRefused() {
        assertFails(() -> EngineOptions.builder(folder).modelDigest("unknown").build(), ErrorCode.INVALID_OPTION, "64");
    }

    @Test
    void fileThatCannotBeReadIsAnError() {
        EngineOptions options =
                EngineOptions.builder(folder.resolve("missing.gguf")).build();
        try (ModelDigest digest = ModelDigest.start(options)) {
            assertFails(digest::await, ErrorCode.MODEL_LOAD_FAILED, "missing.gguf");
        }
    }

    @Test
    void callerThatIsCancelledDoesNotWait() throws Exception {
        try (ModelDigest digest = ModelDigest.start(largeModel())) {
            Thread.currentThread().interrupt();
            assertFails(digest::await, ErrorCode.ENGINE_CLOSED);
            assertThat(Thread.interrupted()).isTrue();
        }
        Await.until("no thread goes on reading", () -> Thread.getAllStackTraces().keySet().stream()
                .noneMatch(thread -> thread.getName().equals(THREAD)));
    }

    /** With a hole, which takes no place on the disk. */
    private EngineOptions largeModel() throws Exception {
        Path file = folder.resolve("large.gguf");
        try (RandomAccessFile large = new RandomAccessFile(file.toFile(), "rw")) {
            large.setLength(1L << 40);
        }
        return EngineOptions.builder(file).build();
    }
}
