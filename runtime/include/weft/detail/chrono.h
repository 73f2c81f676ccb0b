// The durations, instants and clocks of <chrono>, without its calendars, time zones and streams. Those are most of
// <chrono>, and a user of weft would compile them with every header that has a deadline.
//
// libstdc++ keeps this part in a header of its own, which its <mutex> and <thread> include for the same reason. A
// program that prints durations or uses calendars includes <chrono> itself.
#pragma once

#if __has_include(<bits/chrono.h>)
#include <bits/chrono.h>
#else
#include <chrono>
#endif
