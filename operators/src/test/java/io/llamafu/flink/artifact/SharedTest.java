package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

@Timeout(60)
class SharedTest {
    private final Shared<String, Counted> shared = new Shared<>();
    private final AtomicInteger opened = new AtomicInteger();
    private final AtomicInteger openNow = new AtomicInteger();

    private final class Counted implements Shared.Value {
        private Counted() {
            opened.incrementAndGet();
            assertThat(openNow.incrementAndGet()).as("open at a time").isEqualTo(1);
        }

        @Override
        public void close() {
            openNow.decrementAndGet();
        }
    }

    @Test
    void theFirstOpensAndTheLastCloses() {
        Shared<String, Counted>.Share one = shared.acquire("key", key -> new Counted());
        Shared<String, Counted>.Share other = shared.acquire("key", key -> new Counted());
        assertThat(other.value()).isSameAs(one.value());
        one.close();
        one.close();
        assertThat(openNow).hasValue(1);
        other.close();
        assertThat(openNow).hasValue(0);

        shared.acquire("key", key -> new Counted()).close();
        assertThat(opened).hasValue(2);
    }

    @Test
    void whatCannotBeOpenedIsTriedAgain() {
        assertThatThrownBy(() -> shared.acquire("key", key -> {
                    throw new IllegalStateException("not now");
                }))
                .hasMessage("not now");
        shared.acquire("key", key -> new Counted()).close();
        assertThat(opened).hasValue(1);
    }

    @Test
    void waitIsEndedByAnInterrupt() throws Exception {
        CountDownLatch opening = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        CompletableFuture<Void> slow = CompletableFuture.runAsync(() -> shared.acquire("key", key -> {
                    opening.countDown();
                    await(goOn);
                    return new Counted();
                })
                .close());
        opening.await();
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> shared.acquire("key", key -> new Counted()))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.ARTIFACT_UNAVAILABLE))
                .hasMessageContaining("was cancelled");
        assertThat(Thread.interrupted()).isTrue();
        goOn.countDown();
        slow.get(60, TimeUnit.SECONDS);
        assertThat(openNow).hasValue(0);
    }

    @Test
    void neverTwoAtATimeHoweverManyComeAndGo() {
        int threads = 8;
        CountDownLatch start = new CountDownLatch(1);
        List<CompletableFuture<Void>> all = new ArrayList<>();
        for (int thread = 0; thread < threads; thread++) {
            all.add(CompletableFuture.runAsync(
                    () -> {
                        await(start);
                        for (int round = 0; round < 500; round++) {
                            shared.acquire("key", key -> new Counted()).close();
                        }
                    },
                    task -> new Thread(task).start()));
        }
        start.countDown();
        CompletableFuture.allOf(all.toArray(new CompletableFuture<?>[0])).join();
        assertThat(openNow).hasValue(0);
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
