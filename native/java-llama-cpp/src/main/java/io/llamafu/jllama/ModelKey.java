package io.llamafu.jllama;

import java.nio.file.attribute.FileTime;
import java.util.List;

/**
 * Identifies a loaded model; models with equal keys are interchangeable.
 *
 * @param arguments of loading, including paths
 * @param digests SHA-256 of their adapters, in order
 * @param modelBytes size of the model file
 * @param modelTime modification time of the model file
 */
record ModelKey(List<String> arguments, List<String> digests, long modelBytes, FileTime modelTime) {
    ModelKey {
        arguments = List.copyOf(arguments);
        digests = List.copyOf(digests);
    }
}
