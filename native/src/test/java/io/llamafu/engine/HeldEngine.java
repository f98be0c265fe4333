package io.llamafu.engine;

import io.llamafu.Futures;
import io.llamafu.testing.TinyModel;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import static io.llamafu.engine.Answers.MEDICAL;
import static io.llamafu.engine.Answers.PROMPT;

/**
 * An engine of one sequence whose thread waits in a continuation of the caller's, so that it answers nothing until it is
 * let go, however fast the machine is.
 */
final class HeldEngine implements AutoCloseable {
    private final InferenceEngine engine;
    private final CountDownLatch letGo = new CountDownLatch(1);

    private HeldEngine(InferenceEngine engine) {
        this.engine = engine;
    }

    static HeldEngine open(EngineUnderTest contract, EngineOptions.Builder options) throws Exception {
        HeldEngine held =
                new HeldEngine(contract.open(options.parallelSequences(1).build()));
        try {
            while (!held.isHeld()) {
                // the answer came before its continuation, which then ran on this thread
            }
            return held;
        } catch (Exception | Error e) {
            held.close();
            throw e;
        }
    }

    static HeldEngine open(EngineUnderTest contract) throws Exception {
        return open(contract, TinyModel.options());
    }

    private boolean isHeld() throws Exception {
        Thread test = Thread.currentThread();
        CompletableFuture<Boolean> held = new CompletableFuture<>();
        Futures.whenComplete(
                engine.submit(CompletionRequest.of(PROMPT, MEDICAL).withMaxTokens(2)), (answer, failure) -> {
                    held.complete(Thread.currentThread() != test);
                    if (Thread.currentThread() != test) {
                        await(letGo);
                    }
                });
        return held.get(60, TimeUnit.SECONDS);
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    InferenceEngine engine() {
        return engine;
    }

    void letGo() {
        letGo.countDown();
    }

    @Override
    public void close() {
        letGo();
        engine.close();
    }
}
