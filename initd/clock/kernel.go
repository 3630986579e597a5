package clock

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// adjSingleshot is ADJ_OFFSET_SINGLESHOT of adjtimex(2): adjtime(3)'s behaviour.
const adjSingleshot = 0x8001

// kernel is the machine's clock; dry leaves it alone.
type kernel struct{ dry bool }

// step sets the clock forward by d (back if negative) at once.
func (k kernel) step(d time.Duration) error {
	if k.dry {
		return nil
	}
	ts := unix.NsecToTimespec(time.Now().Add(d).UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		return fmt.Errorf("set the clock by %v: %w", d, err)
	}
	return nil
}

// slew lets the clock run faster or slower until it has gone d further.
func (k kernel) slew(d time.Duration) error {
	if k.dry {
		return nil
	}
	t := unix.Timex{Modes: adjSingleshot, Offset: d.Microseconds()}
	if _, err := unix.Adjtimex(&t); err != nil {
		return fmt.Errorf("slew the clock by %v: %w", d, err)
	}
	return nil
}
