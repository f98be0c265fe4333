package io.llamafu.flink.label;

import java.io.Serializable;
import java.util.List;
import java.util.Locale;

/**
 * Rows of one file that become one file of the output.
 *
 * @param file of the input
 * @param index among the parts of the file
 * @param rows how many
 * @param from where they begin
 * @param digest of the rows and their schema, see {@link RowsDigest}
 * @param formerNames parts in whose ledgers answers to some of these rows may be
 */
record Part(InputFile file, int index, int rows, Position from, String digest, List<String> formerNames)
        implements Serializable {
    Part {
        formerNames = List.copyOf(formerNames);
    }

    /** Of the output, without a suffix: a relative path. */
    String name() {
        return name(file, index);
    }

    static String name(InputFile file, int index) {
        return String.format(Locale.ROOT, "%s-%05d", file.name(), index);
    }
}
