package io.llamafu.engine;

import java.util.List;
import java.util.Optional;

import static java.util.Objects.requireNonNull;

/**
 * One version of an adapter that an engine knows, in memory or not.
 *
 * @param name the catalog name
 * @param digest lower-case hexadecimal SHA-256 of its file; empty while no request has asked for it
 * @param resident whether it is in memory
 * @param rank the greatest rank in the file; 0 if the file cannot be read
 * @param alpha the trained scale: the effect is alpha / rank; 0 means that the rank does not divide it
 * @param targetModules the parts of a layer that it changes, such as {@code attn_q}, ascending
 * @param parameters trained numbers
 * @param bytes of its weights: in memory, or what they will take
 * @param leases how many requests hold it, waiting or running; 0 if it is idle, or if the engine does not count them
 * @param defaultScale the scale of a stack that names none
 * @param description what its card says of it, for people; may be empty
 * @param tags likewise
 * @param problem why it cannot be used, as far as its header tells; empty if it can, or is in memory
 */
public record LoadedAdapter(
        String name,
        Optional<String> digest,
        boolean resident,
        long rank,
        double alpha,
        List<String> targetModules,
        long parameters,
        long bytes,
        int leases,
        float defaultScale,
        String description,
        List<String> tags,
        Optional<String> problem) {
    public LoadedAdapter {
        requireNonNull(name, "name is null");
        requireNonNull(digest, "digest is null");
        targetModules = List.copyOf(targetModules);
        requireNonNull(description, "description is null");
        tags = List.copyOf(tags);
        requireNonNull(problem, "problem is null");
    }
}
