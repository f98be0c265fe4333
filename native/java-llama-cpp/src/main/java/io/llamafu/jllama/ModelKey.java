package io.llamafu.jllama;

import java.nio.file.attribute.FileTime;
import java.util.List;

/**
 * What makes two loaded models the same.
 *
 * @param arguments what they were loaded with, paths included
 * @param digests SHA-256 of their adapters, in order
 * @param modelBytes size of the model file
 * @param modelTime when the model file was written
 */
record ModelKey(List<String> arguments, List<String> digests, long modelBytes, FileTime modelTime) {
    ModelKey {
        arguments = List.copyOf(arguments);
        digests = List.copyOf(digests);
    }
}
