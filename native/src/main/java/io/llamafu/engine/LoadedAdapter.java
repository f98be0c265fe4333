package io.llamafu.engine;

import io.llamafu.adapter.AdapterCard;
import io.llamafu.adapter.AdapterInfo;

import java.util.Optional;

import static java.util.Objects.requireNonNull;

/**
 * One version of an adapter that an engine knows, resident or not.
 *
 * @param name the catalog name
 * @param digest lower-case hexadecimal SHA-256 of its file; empty until a request has named it
 * @param card its default scale, description and tags
 * @param info the description in its file; {@link AdapterInfo#NONE} if the file is not on this machine, or cannot be
 *     read
 * @param resident whether it is in memory
 * @param bytes of its weights: in memory, or needed to load it; of its file, if that is not on this machine
 * @param leases requests that hold it, waiting or running; 0 if it is idle, or if the engine does not count them
 * @param problem why it cannot be used, as far as its header shows; empty if it can be, or is in memory
 */
public record LoadedAdapter(
        String name,
        Optional<String> digest,
        AdapterCard card,
        AdapterInfo info,
        boolean resident,
        long bytes,
        int leases,
        Optional<String> problem) {
    public LoadedAdapter {
        requireNonNull(name, "name is null");
        requireNonNull(digest, "digest is null");
        requireNonNull(card, "card is null");
        requireNonNull(info, "info is null");
        requireNonNull(problem, "problem is null");
    }

    /** One that is not in memory. */
    public static LoadedAdapter onDisk(
            String name,
            Optional<String> digest,
            AdapterCard card,
            AdapterInfo info,
            long bytes,
            Optional<String> problem) {
        return new LoadedAdapter(name, digest, card, info, false, bytes, 0, problem);
    }
}
