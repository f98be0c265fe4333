package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.ResolvedAdapter;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The option {@code adapters.preload}. */
public final class Preload {
    private static final Duration MOST_TIME = Duration.ofMinutes(10);

    private Preload() {}

    /**
     * Loads the adapters of these stacks into an engine that was just opened; all together, or some would give way to
     * others. If that fails, closes the engine.
     *
     * @throws LlamafuException what {@link InferenceEngine#preload} fails with
     */
    public static void intoNew(InferenceEngine engine, List<AdapterStack> stacks) {
        AdapterStack together = new AdapterStack(stacks.stream()
                .flatMap(stack -> stack.entries().stream())
                .map(AdapterStack.Entry::name)
                .distinct()
                .map(AdapterStack.Entry::new)
                .toList());
        try {
            List<ResolvedAdapter> unused = engine.preload(together).get(MOST_TIME.toSeconds(), TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            engine.close();
            throw e.getCause() instanceof LlamafuException coded ? coded : failed(e.getCause());
        } catch (TimeoutException e) {
            engine.close();
            throw failed(e);
        } catch (InterruptedException e) {
            engine.close();
            Thread.currentThread().interrupt();
            throw failed(e);
        }
    }

    private static LlamafuException failed(Throwable cause) {
        return new LlamafuException(
                ErrorCode.ADAPTER_LOAD_FAILED, "The adapters of adapters.preload were not loaded: " + cause, cause);
    }
}
