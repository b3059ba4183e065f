const SAMPLE = {
  "categories": [
    {
      "slug": "boats-and-gear",
      "name": "Boats & gear"
    },
    {
      "slug": "community",
      "name": "Community"
    },
    {
      "slug": "for-sale",
      "name": "For sale"
    },
    {
      "slug": "free",
      "name": "Free to a good home"
    },
    {
      "slug": "homes",
      "name": "Homes & rooms"
    },
    {
      "slug": "jobs",
      "name": "Jobs"
    },
    {
      "slug": "lost-and-found",
      "name": "Lost & found"
    },
    {
      "slug": "services",
      "name": "Services"
    }
  ],
  "listings": [
    {
      "title": "Saltbox house for rent by the week",
      "description": "A restored two-bedroom saltbox above the harbour, with a wood stove, a good kitchen and a view of passing icebergs in June.\n\nSleeps four. Towels, linen and a first load of firewood are included. Sorry, no smoking indoors.",
      "category": "homes",
      "place": "Trinity",
      "price_cents": 89500,
      "contact_email": "saltbox@example.org",
      "hours_ago": 3,
      "photos": [
        "saltbox.jpg",
        "kitchen.jpg"
      ]
    },
    {
      "title": "Eighteen-foot punt, oak and spruce",
      "description": "Built over two winters in the shed behind the house. Rows easily, tows better, and has never leaked a cup of water. Comes with oars, a grapnel and a cover.",
      "category": "boats-and-gear",
      "place": "Petty Harbour",
      "price_cents": 320000,
      "contact_email": "punt@example.org",
      "hours_ago": 9,
      "photos": [
        "punt.jpg"
      ]
    },
    {
      "title": "Kitchen party at the parish hall",
      "description": "Bring an instrument, a plate or just your ears. Tea, toutons and dancing from seven until the last accordion gives up. All ages welcome.",
      "category": "community",
      "place": "Twillingate",
      "price_cents": 0,
      "contact_email": "hall@example.org",
      "hours_ago": 20,
      "photos": [
        "party.jpg"
      ]
    },
    {
      "title": "Line cook for the season",
      "description": "Small restaurant by the wharf looks for a cook from May to October. Fresh cod every morning, two days off in a row, and a room upstairs if you need one. $22 an hour.",
      "category": "jobs",
      "place": "Bonavista",
      "price_cents": null,
      "contact_email": "kitchen@example.org",
      "hours_ago": 26
    },
    {
      "title": "Hand-knit trigger mitts",
      "description": "Pure wool, double-knit in the old diamond pattern, in three sizes. Choose your colours; ready in about two weeks.",
      "category": "for-sale",
      "place": "Port Rexton",
      "price_cents": 4500,
      "contact_email": "mitts@example.org",
      "hours_ago": 31,
      "photos": [
        "mitts.jpg"
      ]
    },
    {
      "title": "Free: pallets and kindling",
      "description": "A dozen dry pallets and a few boxes of kindling, stacked by the road. Take what you can carry, leave the rest for a neighbour.",
      "category": "free",
      "place": "Carbonear",
      "price_cents": 0,
      "contact_email": "woodpile@example.org",
      "hours_ago": 45
    },
    {
      "title": "Small-engine repair, outboards a specialty",
      "description": "Thirty years of coaxing two-strokes back to life. Pick-up along the shore on Fridays, honest estimates, and winter storage for motors.",
      "category": "services",
      "place": "Marystown",
      "price_cents": 6500,
      "contact_email": "outboards@example.org",
      "hours_ago": 52
    },
    {
      "title": "Found: a grey cat with one white sock",
      "description": "Turned up on the porch on Sunday night and has opinions about breakfast. Tell us which foot the sock is on and she is yours.",
      "category": "lost-and-found",
      "place": "St. John's",
      "price_cents": null,
      "contact_email": "porchcat@example.org",
      "hours_ago": 70,
      "photos": [
        "cat.jpg"
      ]
    },
    {
      "title": "Bakeapple jam, this year's picking",
      "description": "Small jars, picked on the barrens and cooked the same evening. Three jars for thirty dollars.",
      "category": "for-sale",
      "place": "Fogo",
      "price_cents": 1200,
      "contact_email": "jam@example.org",
      "hours_ago": 75,
      "photos": [
        "jam.jpg"
      ]
    },
    {
      "title": "Sunny room near the university",
      "description": "Furnished room in a quiet row house, ten minutes on foot from campus. Heat, light and internet included. Shared kitchen, one well-mannered dog.",
      "category": "homes",
      "place": "St. John's",
      "price_cents": 75000,
      "contact_email": "room@example.org",
      "hours_ago": 96
    },
    {
      "title": "Guided walk on the Long Range",
      "description": "A full day above the fjord with a local guide. Small groups, good boots needed, tea at the top provided.",
      "category": "services",
      "place": "Rocky Harbour",
      "price_cents": 12000,
      "contact_email": "longrange@example.org",
      "hours_ago": 118
    },
    {
      "title": "Lobster pots, set of twelve",
      "description": "Wire pots in good order with ropes and buoys. Selling together; help with loading the truck is free.",
      "category": "boats-and-gear",
      "place": "Port aux Basques",
      "price_cents": 54000,
      "contact_email": "pots@example.org",
      "hours_ago": 141
    },
    {
      "title": "Volunteers for the beach clean-up",
      "description": "We meet at the slipway at nine, gloves and bags provided, soup afterwards. Last year we carried off two tonnes of rope.",
      "category": "community",
      "place": "Ferryland",
      "price_cents": null,
      "contact_email": "beach@example.org",
      "hours_ago": 163
    },
    {
      "title": "Spinning wheel with three bobbins",
      "description": "Maple, double treadle, lightly used. It deserves somebody with more patience than me.",
      "category": "for-sale",
      "place": "Corner Brook",
      "price_cents": 27500,
      "contact_email": "wheel@example.org",
      "hours_ago": 190
    },
    {
      "title": "Deckhand on a tour boat",
      "description": "Whales, puffins and a great many questions from visitors. Lifesaving certificate an advantage, a sense of humour required.",
      "category": "jobs",
      "place": "Witless Bay",
      "price_cents": null,
      "contact_email": "crew@example.org",
      "hours_ago": 216,
      "photos": [
        "dory.jpg"
      ]
    },
    {
      "title": "Free: rhubarb roots",
      "description": "Dividing the patch that has fed three generations. Bring a bucket and a spade, go home with a lifetime of pies.",
      "category": "free",
      "place": "Placentia",
      "price_cents": 0,
      "contact_email": "rhubarb@example.org",
      "hours_ago": 260
    }
  ],
  "resources": [
    {
      "title": "Marine Atlantic",
      "url": "https://www.marineatlantic.ca/",
      "description": "Ferries between Newfoundland and Nova Scotia: times, fares and delays.",
      "section": "Getting around"
    },
    {
      "title": "511 Newfoundland and Labrador",
      "url": "https://511nl.ca/",
      "description": "Road conditions, cameras and provincial ferries.",
      "section": "Getting around"
    },
    {
      "title": "Metrobus",
      "url": "https://www.metrobus.com/",
      "description": "Bus routes and times in St. John's, Mount Pearl and Paradise.",
      "section": "Getting around"
    },
    {
      "title": "Weather for Newfoundland",
      "url": "https://weather.gc.ca/",
      "description": "Forecasts, warnings and the marine forecast of Environment Canada.",
      "section": "Land and sea"
    },
    {
      "title": "Gros Morne National Park",
      "url": "https://parks.canada.ca/pn-np/nl/grosmorne",
      "description": "Trails, campsites and the fjord at Western Brook Pond.",
      "section": "Land and sea"
    },
    {
      "title": "IcebergFinder",
      "url": "https://icebergfinder.com/",
      "description": "Where the season's icebergs were last seen.",
      "section": "Land and sea"
    },
    {
      "title": "Government of Newfoundland and Labrador",
      "url": "https://www.gov.nl.ca/",
      "description": "Permits, licences, health and education, all in one place.",
      "section": "Public services"
    },
    {
      "title": "NL Public Libraries",
      "url": "https://nlpl.ca/",
      "description": "Branches, opening hours and books to borrow from home.",
      "section": "Public services"
    },
    {
      "title": "Memorial University",
      "url": "https://www.mun.ca/",
      "description": "Courses, continuing education and the botanical garden.",
      "section": "Learning and culture"
    },
    {
      "title": "The Rooms",
      "url": "https://www.therooms.ca/",
      "description": "The province's museum, art gallery and archives.",
      "section": "Learning and culture"
    }
  ]
};
