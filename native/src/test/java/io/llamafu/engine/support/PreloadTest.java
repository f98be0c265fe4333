package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.testing.Await;
import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

class PreloadTest {
    private final CompletableFuture<String> adapters = new CompletableFuture<>();

    @Test
    void adaptersOfASlowStoreAreWaitedFor() throws Exception {
        CompletableFuture<String> loaded = new CompletableFuture<>();
        Thread opening = new Thread(() -> loaded.complete(Preload.await(adapters)), "opening");
        opening.start();
        Await.untilItWaits(opening);
        adapters.complete("loaded");
        assertThat(loaded.get(60, TimeUnit.SECONDS)).isEqualTo("loaded");
    }

    @Test
    void patienceEndsAndNobodyWaitsForThemAnyMore() {
        assertThatThrownBy(() -> Preload.await(adapters, Duration.ofMillis(50)))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_LOAD_FAILED))
                .hasMessageContainingAll("adapters.preload", "within 0 seconds", "Shorten the list");
        assertThat(adapters).isCancelled();
    }

    @Test
    void aCancelledJobStopsWaiting() throws Exception {
        CompletableFuture<Throwable> seen = new CompletableFuture<>();
        CompletableFuture<Boolean> flag = new CompletableFuture<>();
        Thread opening = new Thread(
                () -> {
                    seen.complete(catchThrowable(() -> Preload.await(adapters)));
                    flag.complete(Thread.currentThread().isInterrupted());
                },
                "opening");
        opening.start();
        opening.interrupt();
        assertThat(seen.get(60, TimeUnit.SECONDS))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_LOAD_FAILED))
                .hasMessageContaining("interrupted");
        assertThat(flag.get(60, TimeUnit.SECONDS)).isTrue();
        assertThat(adapters).isCancelled();
    }

    @Test
    void aFailureKeepsItsCode() {
        adapters.completeExceptionally(new LlamafuException(ErrorCode.ADAPTER_NOT_FOUND, "There is no 'nobody'."));
        assertThatThrownBy(() -> Preload.await(adapters))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ADAPTER_NOT_FOUND));
    }
}
