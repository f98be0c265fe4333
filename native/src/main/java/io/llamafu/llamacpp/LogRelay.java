package io.llamafu.llamacpp;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.List;
import java.util.regex.Pattern;

import static java.nio.charset.StandardCharsets.UTF_8;

/** Forwards llama.cpp's log lines to slf4j, under the logger {@code io.llamafu.llamacpp.log}. */
final class LogRelay {
    /** Logged for every tensor of an adapter whose weight has a layout of its own, where it is expected. */
    private static final Pattern EXPECTED_FALLBACK =
            Pattern.compile("lora for '.*' cannot use buft '\\w+', fallback to CPU");

    /** llama.cpp logs an aborted decode as an error, although that is how an engine closes. */
    private static final List<String> ABORTED =
            List.of("graph_compute_async failed with error 1", "compute status: 1", "failed to decode, ret = 2");

    private static final Logger LOG = LoggerFactory.getLogger("io.llamafu.llamacpp.log");

    private LogRelay() {}

    /** Relays the lines since the last call. llama.cpp's INFO becomes DEBUG. */
    static void relay() {
        byte[] lines = LlamaCpp.drainLog();
        if (lines.length == 0) {
            return;
        }
        new String(lines, UTF_8).lines().filter(line -> line.length() > 1).forEach(line -> {
            String text = line.substring(1).stripTrailing();
            switch (isExpected(text) ? '2' : line.charAt(0)) {
                case '4' -> LOG.error("{}", text);
                case '3' -> LOG.warn("{}", text);
                default -> LOG.debug("{}", text);
            }
        });
    }

    private static boolean isExpected(String text) {
        return EXPECTED_FALLBACK.matcher(text).find() || ABORTED.stream().anyMatch(text::endsWith);
    }
}
