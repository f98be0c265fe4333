package io.llamafu.flink.label;

import java.io.Serializable;

/**
 * A place between two rows of a file, from which a reader goes on.
 *
 * @param offset a byte from which the format can read
 * @param skip rows between that byte and the place
 * @param line the number of the next line or row, from 1
 */
record Position(long offset, long skip, long line) implements Serializable {
    static final Position START = new Position(0, 0, 1);
}
