package io.llamafu.engine;

import io.llamafu.adapter.AdapterStack;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Where the outcome of {@link InferenceEngine#prefetch} goes, which nobody waits for. */
final class PrefetchLog {
    private static final Logger LOG = LoggerFactory.getLogger(InferenceEngine.class);

    private PrefetchLog() {}

    static void log(AdapterStack stack, Throwable failure) {
        if (failure == null) {
            LOG.debug("Prefetched '{}'.", stack);
        } else {
            LOG.info("'{}' was not prefetched; its requests will say why if it still fails then: {}", stack, failure);
        }
    }
}
