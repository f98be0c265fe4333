package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterInfo;
import io.llamafu.gguf.GgufKind;
import io.llamafu.gguf.GgufReader;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;

import static io.llamafu.testing.Failures.assertFails;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class LlamaAdapterTest {
    private static final int MEGABYTES = 5;

    @TempDir
    private Path folder;

    private Path file;
    private AdapterInfo info;
    private LlamaModel model;

    @BeforeEach
    void load() throws Exception {
        file = folder.resolve("large.gguf");
        LargeAdapter.write(file, MEGABYTES << 20, 0);
        info = AdapterInfo.of(GgufReader.read(file, GgufKind.ADAPTER));
        model = LlamaModel.load(TinyModel.options().build());
    }

    @AfterEach
    void free() {
        // it throws if an adapter still uses the model
        model.close();
    }

    @Test
    void loadingPausesAfterEachMebibyte() {
        AtomicInteger pauses = new AtomicInteger();

        LlamaAdapter.load(model, file, info, true, pauses::incrementAndGet).close();

        assertThat(pauses.get()).isBetween(MEGABYTES - 1, MEGABYTES + 1);
    }

    @Test
    void failureInAPauseEndsTheLoad() {
        AtomicInteger pauses = new AtomicInteger();

        assertThatThrownBy(() -> LlamaAdapter.load(model, file, info, true, () -> {
                    pauses.incrementAndGet();
                    throw new IllegalStateException("no pause");
                }))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("no pause");
        assertThat(pauses).hasValue(1);
    }

    @Test
    void fileThatIsGoneIsACodedFailure() throws Exception {
        Files.delete(file);

        assertFails(
                () -> LlamaAdapter.load(model, file, info, true, () -> {}),
                ErrorCode.ADAPTER_LOAD_FAILED,
                "large.gguf cannot be opened: No such file");
    }
}
